use std::io;

use tokio::net::TcpStream;
use tokio_rustls::rustls::{self, InvalidMessage};

use crate::tls::explain;

/// How the negotiation of TLS fails.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsFailure {
    /// The other side has left, or the connection broke.
    #[error("the connection was lost: {0}")]
    Lost(io::Error),
    /// What arrived is no TLS: XML or HTTP in plain text, for example.
    #[error("what arrived is not TLS")]
    NotTls(TcpStream),
    /// The two sides do not come together: no common version or cipher suite, a certificate that
    /// one of them refuses.
    #[error("{}", explain(.0))]
    Refused(rustls::Error, TcpStream),
    /// The listener ends.
    #[error("the listener stops")]
    Stopped,
    /// It has taken longer than `state_timeout`.
    #[error("it has taken too long")]
    TimedOut,
}

// === impl TlsFailure ===

impl TlsFailure {
    /// Why a handshake over `socket` failed with `error`, in which tokio-rustls wraps what rustls
    /// says.
    pub(super) fn new(error: io::Error, socket: TcpStream) -> Self {
        let found = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match found {
            Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                Self::NotTls(socket)
            }
            Some(found) => Self::Refused(found.clone(), socket),
            None => Self::Lost(error),
        }
    }

    /// The socket, if an alert was written that the other side should be able to read.
    pub(super) fn into_socket(self) -> Option<TcpStream> {
        match self {
            Self::NotTls(socket) | Self::Refused(_, socket) => Some(socket),
            Self::Lost(_) | Self::Stopped | Self::TimedOut => None,
        }
    }
}
