use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use switchyard_listener::tls::dns_names;
use switchyard_registry::{Caller, LogLimit, PeerStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

use super::{Connection, LiveServer, explain};

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Connections that are ready and wait for the server.
const QUEUE: usize = 16;
/// Pause after a connection that cannot be accepted, for want of open files for example.
const PAUSE: Duration = Duration::from_millis(50);

/// How many connections a port may have at once; those beyond are closed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MostConnections {
    /// That are ready: where certificates are asked for, strangers cannot use them up.
    pub(crate) ready: usize,
    /// Whose TLS handshake is under way.
    pub(crate) handshakes: usize,
}

/// A port of a node.
#[derive(Clone)]
struct Port {
    /// For log lines.
    purpose: &'static str,
    tls: Option<LiveServer>,
    handshakes: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    ready: mpsc::Sender<io::Result<Connection>>,
    log: Arc<LogLimit>,
}

/// The connections that `listener` accepts, each after its TLS handshake if there is to be one.
/// Handshakes do not wait for each other. Ends when it is dropped.
///
/// Must be called within a tokio runtime.
pub(crate) fn incoming(
    listener: TcpListener,
    tls: Option<LiveServer>,
    most: MostConnections,
    purpose: &'static str,
) -> impl Stream<Item = io::Result<Connection>> {
    let (ready, connections) = mpsc::channel(QUEUE);
    let port = Port {
        purpose,
        tls,
        handshakes: Arc::new(Semaphore::new(most.handshakes)),
        connections: Arc::new(Semaphore::new(most.ready)),
        ready,
        log: Arc::default(),
    };
    tokio::spawn(async move {
        let closed = port.ready.clone();
        tokio::select! {
            () = closed.closed() => {}
            () = port.accept(listener) => {}
        }
    });
    ReceiverStream::new(connections)
}

impl Port {
    async fn accept(&self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => self.take(stream, address).await,
                Err(error) => {
                    self.warn(None, &error.to_string());
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn take(&self, stream: TcpStream, address: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, %error, "Connection lost");
            return;
        }
        let Some(tls) = &self.tls else {
            let caller = Caller {
                address: Some(address),
                names: None,
            };
            return self.hand_over(stream, caller).await;
        };
        let Ok(permit) = Arc::clone(&self.handshakes).try_acquire_owned() else {
            return self.warn(Some(address), "too many TLS handshakes at once");
        };
        let acceptor = TlsAcceptor::from(tls.load_full());
        let port = self.clone();
        tokio::spawn(async move {
            let secured = tokio::select! {
                () = port.ready.closed() => return,
                secured = port.shake_hands(acceptor, stream, address) => secured,
            };
            drop(permit);
            if let Some((stream, caller)) = secured {
                port.hand_over(stream, caller).await;
            }
        });
    }

    async fn shake_hands(
        &self,
        acceptor: TlsAcceptor,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Option<(TlsStream<TcpStream>, Caller)> {
        match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let names = names(&stream);
                let caller = Caller {
                    address: Some(address),
                    names,
                };
                Some((stream, caller))
            }
            Ok(Err(error)) => {
                self.refuse(address, &error);
                None
            }
            Err(_) => {
                self.warn(Some(address), "the TLS handshake was not over in time");
                None
            }
        }
    }

    async fn hand_over(&self, stream: impl PeerStream + 'static, caller: Caller) {
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            return self.warn(caller.address, "too many connections at once");
        };
        let connection = Connection::new(stream, caller, permit);
        // An error means that the server has ended.
        let _ = self.ready.send(Ok(connection)).await;
    }

    fn refuse(&self, address: SocketAddr, error: &io::Error) {
        match error.kind() {
            // Whoever only sees whether the port is open is no misdeed.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                tracing::debug!(%address, %error, "Connection closed during the TLS handshake");
            }
            _ => self.warn(Some(address), &explain(error)),
        }
    }

    fn warn(&self, address: Option<SocketAddr>, reason: &str) {
        let Some(suppressed) = self.log.admit() else {
            return;
        };
        let Self { purpose, .. } = self;
        let address = address.map(tracing::field::display);
        tracing::warn!(purpose, address, reason, suppressed, "Connection refused");
    }
}

/// The names in the certificate by which the other side has proved who it is.
fn names(stream: &TlsStream<TcpStream>) -> Option<Arc<[String]>> {
    let (_, session) = stream.get_ref();
    let own = session.peer_certificates()?.first()?;
    Some(dns_names(own).into())
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::StreamExt;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn contract_a1_connections_beyond_the_bound_are_closed() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let most = MostConnections {
            ready: 2,
            handshakes: 1,
        };
        let mut ready = pin!(incoming(listener, None, most, "test"));
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let first = ready.next().await.unwrap().unwrap();
        let _second = ready.next().await.unwrap().unwrap();
        assert_eq!(clients[2].read(&mut [0]).await.unwrap(), 0);
        // Whoever ends leaves room.
        drop(first);
        let _client = TcpStream::connect(address).await.unwrap();
        ready.next().await.unwrap().unwrap();
    }
}
