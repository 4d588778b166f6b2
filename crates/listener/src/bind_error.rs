use std::io;
use std::net::SocketAddr;

/// Why a listener could not be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for components on {address}")]
pub struct BindError {
    /// Where it was to listen.
    pub address: SocketAddr,
    /// What the system says.
    pub source: io::Error,
}
