use std::borrow::Cow;

use crate::StreamCondition;

/// What kind of thing is wrong with the bytes of a stream; decides its stream error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum XmlErrorKind {
    /// Text other than whitespace between first-level elements, or an element of the streams
    /// namespace that has no place there → `bad-format`.
    BadFormat,
    /// Not XML at all, but recognisable as something else → `not-well-formed`.
    LooksLike(Protocol),
    /// Not well-formed, or not namespace-well-formed → `not-well-formed`.
    NotWellFormed,
    /// A bound of [`Limits`](super::Limits) is exceeded → `policy-violation`.
    Policy,
    /// A comment, processing instruction or DTD (RFC 6120 §11.1) → `restricted-xml`.
    Restricted,
    /// A stream header where there was one already (contract S9) → `policy-violation`.
    SecondHeader,
    /// An encoding other than UTF-8 (RFC 6120 §11.6) → `unsupported-encoding`.
    UnsupportedEncoding,
}

impl XmlErrorKind {
    /// The stream error that tells it to the peer (contract X1 to X3, S4, S9).
    #[must_use]
    pub const fn condition(self) -> StreamCondition {
        match self {
            Self::BadFormat => StreamCondition::BadFormat,
            Self::LooksLike(_) | Self::NotWellFormed => StreamCondition::NotWellFormed,
            Self::Policy | Self::SecondHeader => StreamCondition::PolicyViolation,
            Self::Restricted => StreamCondition::RestrictedXml,
            Self::UnsupportedEncoding => StreamCondition::UnsupportedEncoding,
        }
    }
}

/// Another protocol, recognised by the first bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A request of HTTP.
    Http,
    /// A header of the PROXY protocol, version 1 or 2.
    Proxy,
    /// A TLS client hello.
    Tls,
}

/// Why the bytes of a stream cannot be accepted. Fatal to the stream (RFC 6120 §4.9.1.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} (byte {at})")]
pub struct XmlError {
    /// What kind of error.
    pub kind: XmlErrorKind,
    /// What exactly, for people. May quote the peer: escape it.
    pub text: Cow<'static, str>,
    /// Where: bytes from the start of the first-level element, or of the connection's input for
    /// errors in the stream header.
    pub at: u32,
}
