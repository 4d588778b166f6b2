//! One connection of a component: a task that negotiates and reads, and one that writes.

mod closing;
mod negotiation;
mod open_stream;
mod read_buffer;
mod reader;
mod source;
mod tls_failure;
mod tls_halves;
mod transport;
mod writer;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use switchyard_registry::{ConnectionId, Domain};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use self::negotiation::{Failure, Negotiation, Step};
use self::read_buffer::ReadBuffer;
use self::source::SourceError;
use self::tls_failure::TlsFailure;
use self::transport::{ReadHalf, Transport};
use crate::authenticated::Authenticated;
use crate::farewell::Farewell;
use crate::handshake::StreamId;
use crate::live_config::LiveConfig;
use crate::metrics::ListenerMetrics;
use crate::peer_log::{Event, EventKind, PeerLog};
use crate::printable::Printable;
use crate::refusal_delays::RefusalDelays;
use crate::shaper::Shaper;
use crate::stop::Stop;
use crate::stream::Stream;
use crate::tls::{ListenerTls, TlsMode};
use crate::xml::{Framer, Limits};
use crate::{Component, Delivery, ListenerConfig, Outbox, Registrar, Router, StreamCondition};

/// What the connections of one listener share.
pub(crate) struct Shared<R, Q> {
    pub(crate) config: Arc<LiveConfig>,
    pub(crate) registrar: Arc<R>,
    pub(crate) router: Arc<Q>,
    pub(crate) metrics: Arc<ListenerMetrics>,
    pub(crate) log: PeerLog,
    pub(crate) refusals: Mutex<RefusalDelays>,
    pub(crate) stop: Stop,
}

/// One connection of a component.
pub(crate) struct Connection<R, Q> {
    shared: Arc<Shared<R, Q>>,
    /// The configuration when it was accepted.
    config: Arc<ListenerConfig>,
    id: ConnectionId,
    /// Where it comes from: what the proxy says, once it has.
    peer: SocketAddr,
    /// When the negotiation must be over, from the first byte on (contract S7).
    deadline: Instant,
    stream: Stream,
    framer: Framer,
    buffer: ReadBuffer,
    shaper: Shaper,
}

/// What an open stream works with.
struct Open {
    authenticated: Authenticated,
    outbox: Arc<Outbox>,
}

/// How far a stream has come.
enum Negotiated {
    Open(Open),
    /// The component waits for TLS to begin.
    StartTls,
}

// === impl Connection ===

impl<R: Registrar, Q: Router> Connection<R, Q> {
    /// A connection that has just been accepted.
    ///
    /// # Errors
    ///
    /// When the system gives no randomness for the stream's id.
    pub(crate) fn new(
        shared: Arc<Shared<R, Q>>,
        config: Arc<ListenerConfig>,
        peer: SocketAddr,
    ) -> Result<Box<Self>, getrandom::Error> {
        // One sequence for all listeners: a registration names its connection by number alone.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Ok(Box::new(Self {
            shaper: Shaper::new(Arc::clone(&shared.config)),
            shared,
            id: ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed)),
            peer,
            deadline: Instant::now() + config.state_timeout,
            stream: Stream::new(Arc::clone(&config), StreamId::random()?),
            framer: Framer::new(limits(&config)),
            buffer: ReadBuffer::default(),
            config,
        }))
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    /// Runs until the socket is closed.
    pub(crate) async fn run(mut self: Box<Self>, mut socket: TcpStream) {
        let begins_with_tls = self.begins_with_tls();
        // From the bare socket: the PROXY header comes before TLS.
        if let Err(failure) = self.learn_source(&mut socket).await {
            let transport = Transport::tcp(socket);
            return self
                .refuse(transport, failure, EventKind::ProxyRefused)
                .await;
        }
        let transport = match begins_with_tls {
            Some(tls) => self.start_tls(socket, &tls).await,
            None => Ok(Transport::tcp(socket)),
        };
        match transport {
            Ok(transport) => self.run_streams(transport).await,
            Err(failure) => self.give_up(failure).await,
        }
    }

    fn begins_with_tls(&self) -> Option<ListenerTls> {
        let tls = self.config.tls.as_ref();
        tls.filter(|tls| tls.mode == TlsMode::Tls).cloned()
    }

    /// Runs one stream, or two: a component that asks for TLS begins anew in it.
    async fn run_streams(mut self: Box<Self>, mut transport: Transport) {
        loop {
            // On the heap for as long as it takes: an open connection keeps no room for it.
            let negotiated = Box::pin(self.negotiate(&mut transport)).await;
            match negotiated {
                Ok(Negotiated::Open(open)) => return self.serve(open, transport).await,
                Ok(Negotiated::StartTls) => match self.restart(transport).await {
                    Ok(secured) => transport = secured,
                    Err(failure) => return self.give_up(failure).await,
                },
                Err(failure) => {
                    let kind = EventKind::StreamRefused;
                    return self.refuse(transport, failure, kind).await;
                }
            }
        }
    }

    /// Ends a connection that did not come to an open stream.
    async fn refuse(&self, mut transport: Transport, failure: Failure, kind: EventKind) {
        match failure {
            Failure::Farewell(mut farewell) => {
                self.note_refused(kind, &farewell);
                if farewell.is(StreamCondition::NotAuthorized) {
                    self.hold_back(&mut transport.reading).await;
                }
                if kind == EventKind::ProxyRefused && self.begins_with_tls().is_some() {
                    // Nobody could read it.
                    farewell.bytes = Bytes::new();
                }
                closing::close(transport, &farewell).await;
            }
            Failure::Lost(error) => tracing::debug!(%error, "Connection lost"),
        }
    }

    /// Asks the proxy in front of the listener, if there is one, where the connection comes from.
    async fn learn_source(&mut self, socket: &mut TcpStream) -> Result<(), Failure> {
        if !self.config.proxy_protocol {
            return Ok(());
        }
        let stop = &self.shared.stop;
        let read = tokio::select! {
            biased;
            () = stop.token.cancelled() => return Err(self.stream.close(stop.reason()).into()),
            read = timeout_at(self.deadline, source::read(socket)) => read,
        };
        match read {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(source))) => {
                tracing::Span::current().record("source", tracing::field::display(source));
                self.peer = source;
            }
            Ok(Err(SourceError::Refused(fault))) => {
                ListenerMetrics::add(&self.shared.metrics.proxy_refused, 1);
                return Err(self.stream.proxy_refused(&fault).into());
            }
            Ok(Err(SourceError::Lost(error))) => return Err(error.into()),
            Err(_) => return Err(self.stream.timeout().into()),
        }
        Ok(())
    }

    async fn negotiate(&mut self, transport: &mut Transport) -> Result<Negotiated, Failure> {
        let shared = Arc::clone(&self.shared);
        let mut negotiation = Negotiation {
            config: &self.config,
            live: &shared.config,
            registrar: &*shared.registrar,
            connection: self.id,
            stop: &shared.stop,
            transport,
            stream: &mut self.stream,
            framer: &mut self.framer,
            buffer: &mut self.buffer,
            shaper: &mut self.shaper,
            deadline: self.deadline,
            received: 0,
            holds_name: false,
        };
        let authenticated = match negotiation.authenticate().await? {
            Step::Authenticated(authenticated) => authenticated,
            Step::StartTls => return Ok(Negotiated::StartTls),
        };
        let component = &authenticated.component;
        let outbox = Arc::new(Outbox::of_listener(Arc::clone(&shared.config)));
        let outcome = negotiation.register(component, &outbox).await;
        if outcome.is_err() {
            if negotiation.holds_name {
                self.unregister(component).await;
            }
            // One that was refused may have had the name for a while, and stanzas for it.
            self.give_back(outbox.finish());
        }
        outcome.map(|()| {
            Negotiated::Open(Open {
                authenticated,
                outbox,
            })
        })
    }

    /// Negotiates TLS on a socket on which nothing of it was read.
    async fn start_tls(
        &self,
        socket: TcpStream,
        tls: &ListenerTls,
    ) -> Result<Transport, TlsFailure> {
        tokio::select! {
            biased;
            () = self.shared.stop.token.cancelled() => Err(TlsFailure::Stopped),
            transport = Transport::tls(socket, Arc::clone(&tls.server), self.deadline) => transport,
        }
    }

    /// Negotiates TLS behind `<proceed/>` and forgets the stream before it (RFC 6120 §5.4.3.3).
    async fn restart(&mut self, transport: Transport) -> Result<Transport, TlsFailure> {
        let (Some(tls), Some(socket)) = (&self.config.tls, transport.into_tcp()) else {
            return Err(TlsFailure::Lost(io::ErrorKind::NotConnected.into()));
        };
        let id = StreamId::random().map_err(|error| TlsFailure::Lost(io::Error::other(error)))?;
        let transport = self.start_tls(socket, tls).await?;
        self.stream.restart(id);
        self.framer = Framer::new(limits(&self.config));
        self.buffer = ReadBuffer::default();
        Ok(transport)
    }

    /// Ends a connection on which there is no TLS: what there is to say, TLS has said.
    async fn give_up(&self, failure: TlsFailure) {
        if !matches!(failure, TlsFailure::Stopped) {
            ListenerMetrics::add(&self.shared.metrics.tls_handshake_failures, 1);
        }
        let reason = format!("TLS not negotiated: {failure}");
        match &failure {
            // Whoever only looks whether the port is open does no wrong.
            TlsFailure::Lost(_) | TlsFailure::Stopped => {
                tracing::debug!(error = %failure, "TLS not negotiated");
            }
            TlsFailure::TimedOut => self.log(EventKind::TimedOut, None, &reason),
            _ => self.log(EventKind::StreamRefused, None, &reason),
        }
        if let Some(socket) = failure.into_socket() {
            closing::close_behind_alert(socket).await;
        }
    }

    /// Unregisters. That goes on when it takes longer than the connection can wait for it.
    async fn unregister(&self, component: &Component) {
        let registrar = Arc::clone(&self.shared.registrar);
        let component = component.clone();
        let id = self.id;
        let task = tokio::spawn(async move { registrar.unregister(&component, id).await });
        if timeout(self.config.flush_timeout, task).await.is_err() {
            tracing::debug!("Component is still being unregistered");
        }
    }

    fn give_back(&self, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        let stanzas = deliveries.iter().map(|d| u64::from(d.count)).sum();
        ListenerMetrics::add(&self.shared.metrics.undelivered, stanzas);
        self.shared.router.undelivered(deliveries);
    }

    /// Counts and logs the end of a stream that was never open; `kind` unless there is a better.
    fn note_refused(&self, kind: EventKind, farewell: &Farewell) {
        self.shared.metrics.count_farewell(farewell);
        let Some(error) = &farewell.error else {
            tracing::debug!("Stream closed");
            return;
        };
        let kind = match error.condition {
            StreamCondition::NotAuthorized => EventKind::HandshakeFailed,
            StreamCondition::ConnectionTimeout => EventKind::TimedOut,
            // Not the peer's doing, and said elsewhere.
            StreamCondition::SystemShutdown | StreamCondition::Reset => {
                tracing::debug!(error = %Printable(&error.to_string()), "Stream closed");
                return;
            }
            _ => kind,
        };
        self.log(kind, self.stream.asked(), &error.to_string());
    }

    fn log(&self, kind: EventKind, domain: Option<&Domain>, reason: &str) {
        self.shared.log.note(Event {
            kind,
            peer: self.peer,
            domain,
            reason,
        });
    }

    /// Waits before a failed handshake is answered, for longer the more of them come from the same
    /// source; not beyond the negotiation's time, nor when nobody waits for the answer any more.
    async fn hold_back(&self, reading: &mut ReadHalf) {
        let now = Instant::now();
        let source = self.peer.ip().into();
        let delay = self.shared.refusals.lock().fail(source, now);
        if delay.is_zero() {
            return;
        }
        ListenerMetrics::add(&self.shared.metrics.refusals_delayed, 1);
        tokio::select! {
            () = sleep_until((now + delay).min(self.deadline)) => {}
            () = self.shared.stop.token.cancelled() => {}
            _ = closing::drain(reading) => {}
        }
    }
}

fn limits(config: &ListenerConfig) -> Limits {
    Limits {
        max_stanza_size: config.max_stanza_size,
        ..Limits::default()
    }
}
