use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::codegen::{Service, http};

/// A node to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeerAddress {
    /// Where it is, `host:port`.
    pub address: String,
    /// The `node.name` that must answer there; none: it is not known yet, as that of a seed.
    pub name: Option<String>,
}

/// How a registry connects to its peers: [`TcpDialer`], something that puts TLS on top of it, or a
/// simulated network.
///
/// What it returns is handed to HTTP/2 as it is. Time limits are the caller's: the future is
/// dropped when it takes too long.
pub trait Dialer: fmt::Debug + Send + Sync {
    /// Connects to a peer, and sees that it is the node that `peer` names if it can tell.
    ///
    /// # Errors
    ///
    /// In words for the log: they are shown beside the peer's name.
    fn dial(&self, peer: &PeerAddress) -> BoxFuture<'static, io::Result<Box<dyn PeerStream>>>;

    /// Whether a connection to a peer with a name proves that the peer has that name.
    fn proves_names(&self) -> bool {
        false
    }
}

/// An ordered stream of octets to a peer.
pub trait PeerStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> PeerStream for T {}

/// Plain TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpDialer;

impl Dialer for TcpDialer {
    fn dial(&self, peer: &PeerAddress) -> BoxFuture<'static, io::Result<Box<dyn PeerStream>>> {
        let address = peer.address.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            // Messages are small, and each is waited for.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn PeerStream>)
        })
    }
}

/// Connects a channel of tonic to one peer, whenever it has no connection.
#[derive(Debug, Clone)]
pub struct Connector {
    dialer: Arc<dyn Dialer>,
    peer: PeerAddress,
}

impl Connector {
    /// Connects to `peer` by `dialer`, whatever URI the channel has.
    #[must_use]
    pub fn new(dialer: Arc<dyn Dialer>, peer: PeerAddress) -> Self {
        Self { dialer, peer }
    }
}

impl Service<http::Uri> for Connector {
    type Response = TokioIo<Box<dyn PeerStream>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let dialing = self.dialer.dial(&self.peer);
        Box::pin(async { Ok(TokioIo::new(dialing.await?)) })
    }
}
