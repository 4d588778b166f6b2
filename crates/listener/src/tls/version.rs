use tokio_rustls::rustls::{SupportedProtocolVersion, version};

/// A version of TLS that is spoken here. Those before 1.2 are not (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246
    V1_2,
    /// TLS 1.3, RFC 8446
    V1_3,
}

impl TlsVersion {
    /// Every version, the oldest first.
    pub const ALL: [Self; 2] = [Self::V1_2, Self::V1_3];

    /// The name in a configuration of MongooseIM, which is that of Erlang.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1_2 => "tlsv1.2",
            Self::V1_3 => "tlsv1.3",
        }
    }

    pub(super) const fn supported(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::V1_2 => &version::TLS12,
            Self::V1_3 => &version::TLS13,
        }
    }
}
