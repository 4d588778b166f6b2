use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::connection::{Connection, Shared};
use crate::live_config::LiveConfig;
use crate::metrics::{Gauge, ListenerMetrics};
use crate::peer_log::PeerLog;
use crate::slots::{Slot, Slots};
use crate::sockets;
use crate::stop::Stop;
use crate::{BindError, ListenerConfig, ListenerHandle, Registrar, Router};

/// Pause after the system failed to accept: for want of file descriptors, say.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// What keeps a listener from accepting is logged no more often than this.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A port where components connect.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    handle: ListenerHandle,
    /// What may be shared with other listeners: see [`Self::within`].
    budget: Arc<Semaphore>,
}

/// Accepts connections, as many as there may be.
struct Acceptor {
    socket: TcpListener,
    local_addr: SocketAddr,
    config: Arc<LiveConfig>,
    metrics: Arc<ListenerMetrics>,
    slots: Arc<Slots>,
    budget: Arc<Semaphore>,
    /// A connection that waits for the budget: kept here, so that nothing can drop it meanwhile.
    waiting: Option<(TcpStream, SocketAddr)>,
    last_logged: Option<Instant>,
}

/// A connection that has been accepted, with its place among them, which is free again when this is
/// dropped.
struct Accepted {
    socket: TcpStream,
    peer: SocketAddr,
    place: (Slot, OwnedSemaphorePermit),
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
            let socket = sockets::listen(&config)?;
            let local_addr = socket.local_addr()?;
            Ok((socket, local_addr))
        };
        let (socket, local_addr) = bound().map_err(|source| BindError { address, source })?;
        Ok(Self {
            socket,
            handle: ListenerHandle {
                local_addr,
                config: Arc::new(LiveConfig::new(config)),
                metrics: Arc::default(),
                removed: CancellationToken::new(),
                unbound: CancellationToken::new(),
            },
            budget: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        })
    }

    /// Bounds the connections of all listeners that are given the same `budget`, one permit each,
    /// so that a flood of connections leaves the process descriptors for everything else. Beyond
    /// it connections wait in the backlog, as they do beyond `max_connections`.
    #[must_use]
    pub fn within(self, budget: Arc<Semaphore>) -> Self {
        Self { budget, ..self }
    }

    /// Where it listens: the port that the system chose if port 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.handle.local_addr()
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<ListenerMetrics> {
        self.handle.metrics()
    }

    /// To replace its configuration, or to end it alone, while it serves.
    #[must_use]
    pub fn handle(&self) -> ListenerHandle {
        self.handle.clone()
    }

    /// Serves components until `shutdown` is cancelled. Then it stops accepting, each connection
    /// unregisters, flushes and ends with `system-shutdown` (contract S12); returns when all have
    /// ended, which is bounded by `flush_timeout` and a few seconds. [`ListenerHandle::remove`]
    /// does the same, with `reset`.
    pub async fn serve<R: Registrar, Q: Router>(
        self,
        registrar: Arc<R>,
        router: Arc<Q>,
        shutdown: CancellationToken,
    ) {
        let ListenerHandle {
            local_addr,
            config,
            metrics,
            removed,
            unbound,
        } = self.handle;
        let unbound = unbound.drop_guard();
        let shared = Arc::new(Shared {
            config,
            registrar,
            router,
            metrics,
            log: PeerLog::new(local_addr),
            refusals: Mutex::default(),
            stop: Stop {
                token: shutdown.child_token(),
                removed,
            },
        });
        let connections = TaskTracker::new();
        let acceptor = Acceptor {
            socket: self.socket,
            local_addr,
            config: Arc::clone(&shared.config),
            metrics: Arc::clone(&shared.metrics),
            slots: Arc::default(),
            budget: self.budget,
            waiting: None,
            last_logged: None,
        };
        let ended = async {
            acceptor.run(&shared, &connections).await;
            drop(unbound);
            shared.stop.token.cancel();
            connections.close();
            connections.wait().await;
        };
        tokio::select! {
            () = ended => shared.log.finish(),
            never = shared.log.summarise() => match never {},
        }
    }
}

// === impl Acceptor ===

impl Acceptor {
    /// Runs until the listener is to stop.
    async fn run<R: Registrar, Q: Router>(
        mut self,
        shared: &Arc<Shared<R, Q>>,
        connections: &TaskTracker,
    ) {
        let mut changes = shared.config.subscribe();
        loop {
            let accepted = tokio::select! {
                biased;
                () = shared.stop.token.cancelled() => break,
                () = shared.stop.removed.cancelled() => break,
                _ = changes.changed() => {
                    sockets::set_backlog(&self.socket, shared.config.load().backlog);
                    continue;
                }
                accepted = self.accept() => accepted,
            };
            match accepted {
                Ok(accepted) => start(shared, connections, accepted),
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "Connection lost before it was accepted");
                }
                Err(error) => {
                    ListenerMetrics::add(&shared.metrics.accept_errors, 1);
                    if self.is_log_due() {
                        let listener = self.local_addr;
                        tracing::warn!(%error, %listener, "Cannot accept connections");
                    }
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    /// Waits for room, then for a connection. Those that come meanwhile wait in the backlog.
    async fn accept(&mut self) -> io::Result<Accepted> {
        if !self.has_room() {
            self.note_full();
            while !self.has_room() {
                self.slots.changed().await;
            }
        }
        if self.waiting.is_none() {
            self.waiting = Some(self.socket.accept().await?);
        }
        // Only now: a listener must not hold a permit while nobody connects to it.
        let permit = self.permit().await?;
        let (socket, mut peer) = self.waiting.take().ok_or(io::ErrorKind::Interrupted)?;
        // An IPv4 address is shown as one, whatever the socket that took the connection.
        peer.set_ip(peer.ip().to_canonical());
        Ok(Accepted {
            socket,
            peer,
            place: (self.slots.take(), permit),
        })
    }

    async fn permit(&mut self) -> io::Result<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.budget).try_acquire_owned() {
            return Ok(permit);
        }
        self.note_exhausted();
        let permit = Arc::clone(&self.budget).acquire_owned().await;
        permit.map_err(io::Error::other)
    }

    fn has_room(&self) -> bool {
        let limit = self.config.load().max_connections;
        limit.is_none_or(|limit| self.slots.used() < limit)
    }

    fn note_full(&mut self) {
        ListenerMetrics::add(&self.metrics.full, 1);
        if self.is_log_due() {
            let (listener, connections) = (self.local_addr, self.slots.used());
            tracing::warn!(
                %listener,
                connections,
                "max_connections reached: further connections wait until one ends"
            );
        }
    }

    fn note_exhausted(&mut self) {
        ListenerMetrics::add(&self.metrics.full, 1);
        if self.is_log_due() {
            let (listener, connections) = (self.local_addr, self.slots.used());
            tracing::warn!(
                %listener,
                connections,
                "As many connections as the limit of open files allows: further ones wait until \
                 one ends"
            );
        }
    }

    fn is_log_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = |last| now.duration_since(last) >= ACCEPT_LOG_INTERVAL;
        let due = self.last_logged.is_none_or(is_due);
        if due {
            self.last_logged = Some(now);
        }
        due
    }
}

fn start<R: Registrar, Q: Router>(
    shared: &Arc<Shared<R, Q>>,
    connections: &TaskTracker,
    accepted: Accepted,
) {
    let Accepted {
        socket,
        peer,
        place,
    } = accepted;
    ListenerMetrics::add(&shared.metrics.accepted, 1);
    let config = shared.config.current();
    if let Err(error) = sockets::set_options(&socket, &config) {
        tracing::debug!(%error, %peer, "Socket options not set");
    }
    let connection = match Connection::new(Arc::clone(shared), config, peer) {
        Ok(connection) => connection,
        Err(error) => {
            tracing::error!(%error, "No random numbers from the system");
            return;
        }
    };
    let shared = Arc::clone(shared);
    let id = connection.id();
    let source = tracing::field::Empty;
    let span = tracing::debug_span!("component", %peer, source, connection = %id);
    connections.spawn(
        async move {
            // Given back when the socket is closed.
            let _place = place;
            let _connections = Gauge::new(&shared.metrics.connections);
            tracing::debug!("Connection accepted");
            connection.run(socket).await;
        }
        .instrument(span.or_current()),
    );
}

/// An error of a connection that had gone when it was accepted, or of the network that it came from
/// (accept(2)); the next is not affected.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
    )
}
