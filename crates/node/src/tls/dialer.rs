use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use switchyard_registry::{Dialer, LogLimit, PeerAddress, PeerStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{PeerTls, explain};

/// Connects to peers in TLS, and sees that each is the node that it should be.
#[derive(Clone)]
pub(crate) struct TlsDialer {
    tls: Arc<ArcSwap<PeerTls>>,
    log: Arc<LogLimit>,
}

impl TlsDialer {
    /// Speaks TLS as `tls` says at the time of each connection.
    pub(crate) fn new(tls: Arc<ArcSwap<PeerTls>>) -> Self {
        Self {
            tls,
            log: Arc::default(),
        }
    }

    fn warn(&self, peer: &PeerAddress, reason: &str) {
        if let Some(suppressed) = self.log.admit() {
            let PeerAddress { address, name } = peer;
            let expected = name.as_deref();
            tracing::warn!(%address, expected, reason, suppressed, "No TLS with a peer");
        }
    }
}

impl fmt::Debug for TlsDialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsDialer")
    }
}

impl Dialer for TlsDialer {
    fn dial(&self, peer: &PeerAddress) -> BoxFuture<'static, io::Result<Box<dyn PeerStream>>> {
        let dialer = self.clone();
        let peer = peer.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(&peer.address).await?;
            // Messages are small, and each is waited for.
            stream.set_nodelay(true)?;
            let client = dialer.tls.load().client(peer.name.as_deref());
            let client = Arc::new(client.map_err(io::Error::other)?);
            // Not looked at: a node is known by its name, wherever it runs.
            let host = ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
            let connecting = TlsConnector::from(client).connect(host, stream);
            match connecting.await {
                Ok(stream) => Ok(Box::new(stream) as Box<dyn PeerStream>),
                Err(error) => {
                    let reason = explain(&error);
                    dialer.warn(&peer, &reason);
                    Err(io::Error::new(error.kind(), reason))
                }
            }
        })
    }

    fn proves_names(&self) -> bool {
        true
    }
}
