use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::ServerConfig;

/// When TLS begins on a component's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// With the first byte.
    #[default]
    Tls,
    /// When the component asks for it (RFC 6120 §5). One that does not goes on without.
    StartTls,
    /// When the component asks for it. One that does not is refused.
    StartTlsRequired,
}

/// TLS of a listener. `Debug` shows no secrets (contract L4).
#[derive(Clone)]
pub struct ListenerTls {
    /// When it begins.
    pub mode: TlsMode,
    /// How it is spoken, made by [`ServerTls::build`](super::ServerTls::build).
    pub server: Arc<ServerConfig>,
}

// === impl TlsMode ===

impl TlsMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Tls, Self::StartTls, Self::StartTlsRequired];

    /// The name in a configuration of MongooseIM.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::StartTls => "starttls",
            Self::StartTlsRequired => "starttls_required",
        }
    }
}

// === impl ListenerTls ===

/// By identity: files that were read again make another one.
impl PartialEq for ListenerTls {
    fn eq(&self, other: &Self) -> bool {
        self.mode == other.mode && Arc::ptr_eq(&self.server, &other.server)
    }
}

impl Eq for ListenerTls {}

impl fmt::Debug for ListenerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ListenerTls").field(&self.mode).finish()
    }
}
