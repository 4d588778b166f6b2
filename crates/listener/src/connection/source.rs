//! Who connects, when a proxy says it.

use std::io;
use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::proxy_protocol::{self, MAX_V2, ProxyFault};

/// Why a proxy's header was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum SourceError {
    /// What came is no header.
    #[error(transparent)]
    Refused(#[from] ProxyFault),
    /// The connection broke.
    #[error(transparent)]
    Lost(#[from] io::Error),
}

/// Reads the header of the PROXY protocol and not a byte of what follows, which may belong to TLS.
/// Gives who connected to the proxy, if it says.
///
/// What arrives is looked at in the system's buffer, and taken from there only as far as it belongs
/// to the header. Nothing is lost if the future is dropped: the connection is of no use without it.
pub(super) async fn read(socket: &mut TcpStream) -> Result<Option<SocketAddr>, SourceError> {
    let mut header = Vec::new();
    loop {
        socket.readable().await?;
        let taken = header.len();
        // No more than is left of the longest header: the rest of the input is none of it.
        header.resize(MAX_V2, 0);
        let seen = match socket.peek(&mut header[taken..]).await? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            more => taken + more,
        };
        let found = proxy_protocol::read(&header[..seen])?;
        let end = found.map_or(seen, |found| found.len);
        socket.read_exact(&mut header[taken..end]).await?;
        if let Some(found) = found {
            return Ok(found.source);
        }
        header.truncate(end);
    }
}
