use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain as Family, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::connection::{Connection, Shared};
use crate::metrics::{Gauge, ListenerMetrics};
use crate::{BindError, ListenerConfig, Registrar, Router};

/// Silence on a connection after which the system probes it, and the pause between probes.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// Pause after the system failed to accept: for want of file descriptors, say.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// Such failures are logged no more often than this.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A port where components connect.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    local_addr: SocketAddr,
    config: Arc<ListenerConfig>,
    metrics: Arc<ListenerMetrics>,
}

// === impl Listener ===

impl Listener {
    /// Binds the port. Connections are kept waiting until [`Self::serve`] runs.
    ///
    /// # Errors
    ///
    /// When the system refuses, because the port is in use for example. Needs a tokio runtime.
    pub fn bind(config: ListenerConfig) -> Result<Self, BindError> {
        let address = config.address;
        let bound = || {
            let socket = TcpListener::from_std(listen(&config)?.into())?;
            let local_addr = socket.local_addr()?;
            Ok((socket, local_addr))
        };
        let (socket, local_addr) = bound().map_err(|source| BindError { address, source })?;
        Ok(Self {
            socket,
            local_addr,
            config: Arc::new(config),
            metrics: Arc::default(),
        })
    }

    /// Where it listens: the port that the system chose if port 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<ListenerMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Serves components until `shutdown` is cancelled. Then it stops accepting, each connection
    /// unregisters, flushes and ends with `system-shutdown` (contract S12); returns when all have
    /// ended, which is bounded by `flush_timeout` and a few seconds.
    pub async fn serve<R: Registrar, Q: Router>(
        self,
        registrar: Arc<R>,
        router: Arc<Q>,
        shutdown: CancellationToken,
    ) {
        let shared = Arc::new(Shared {
            config: self.config,
            registrar,
            router,
            metrics: self.metrics,
            shutdown,
        });
        let connections = TaskTracker::new();
        let mut last_logged = None;
        loop {
            let accepted = tokio::select! {
                biased;
                () = shared.shutdown.cancelled() => break,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    start(&shared, &connections, socket, peer);
                }
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "Connection lost before it was accepted");
                }
                Err(error) => {
                    ListenerMetrics::add(&shared.metrics.accept_errors, 1);
                    log_now_and_then(&mut last_logged, &error, self.local_addr);
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
        drop(self.socket);
        connections.close();
        connections.wait().await;
    }
}

fn listen(config: &ListenerConfig) -> io::Result<Socket> {
    let socket = Socket::new(
        Family::for_address(config.address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if config.address.is_ipv6() {
        // Or the wildcard address would take IPv4 as well on some systems, and not on others.
        socket.set_only_v6(true)?;
    }
    // A restarted node must get its port although old connections linger in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&config.address.into())?;
    socket.listen(i32::try_from(config.backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn start<R: Registrar, Q: Router>(
    shared: &Arc<Shared<R, Q>>,
    connections: &TaskTracker,
    socket: TcpStream,
    peer: SocketAddr,
) {
    ListenerMetrics::add(&shared.metrics.accepted, 1);
    if let Err(error) = set_options(&socket, &shared.config) {
        tracing::debug!(%error, %peer, "Socket options not set");
    }
    let connection = match Connection::new(Arc::clone(shared)) {
        Ok(connection) => connection,
        Err(error) => {
            tracing::error!(%error, "No random numbers from the system");
            return;
        }
    };
    let shared = Arc::clone(shared);
    let span = tracing::debug_span!("component", %peer, connection = %connection.id());
    connections.spawn(
        async move {
            let _connections = Gauge::new(&shared.metrics.connections);
            tracing::debug!("Connection accepted");
            connection.run(socket).await;
        }
        .instrument(span.or_current()),
    );
}

/// Contract S11: what is written goes out at once, and a peer that is gone is noticed.
fn set_options(socket: &TcpStream, config: &ListenerConfig) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = SockRef::from(socket);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(TCP_KEEPALIVE)
            .with_interval(TCP_KEEPALIVE),
    )?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(config.write_timeout))?;
    Ok(())
}

/// An error of a connection that had gone when it was accepted; the next is not affected.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

fn log_now_and_then(last: &mut Option<Instant>, error: &io::Error, listener: SocketAddr) {
    let now = Instant::now();
    if last.is_none_or(|last| now.duration_since(last) >= ACCEPT_LOG_INTERVAL) {
        *last = Some(now);
        tracing::warn!(%error, %listener, "Cannot accept connections");
    }
}
