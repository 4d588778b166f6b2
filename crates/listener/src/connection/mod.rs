//! One connection of a component: a task that negotiates and reads, and one that writes.

mod closing;
mod negotiation;
mod read_buffer;
mod reader;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use switchyard_registry::ConnectionId;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use self::negotiation::{Failure, Negotiation};
use self::read_buffer::ReadBuffer;
use self::reader::{ReadEnd, Reader, Rewritten};
use self::writer::{Finished, Writer};
use crate::farewell::Farewell;
use crate::handshake::StreamId;
use crate::metrics::{Gauge, ListenerMetrics};
use crate::stream::Stream;
use crate::xml::{Framer, Limits};
use crate::{
    CloseReason, Component, Delivery, ListenerConfig, Outbox, Registrar, Router, Sender, SenderRule,
};

/// What the connections of one listener share.
pub(crate) struct Shared<R, Q> {
    pub(crate) config: Arc<ListenerConfig>,
    pub(crate) registrar: Arc<R>,
    pub(crate) router: Arc<Q>,
    pub(crate) metrics: Arc<ListenerMetrics>,
    pub(crate) shutdown: CancellationToken,
}

/// One connection of a component.
pub(crate) struct Connection<R, Q> {
    shared: Arc<Shared<R, Q>>,
    id: ConnectionId,
    stream: Stream,
    framer: Framer,
    buffer: ReadBuffer,
}

/// What an open stream works with.
struct Open {
    component: Component,
    outbox: Arc<Outbox>,
}

// === impl Connection ===

impl<R: Registrar, Q: Router> Connection<R, Q> {
    /// A connection that has just been accepted.
    ///
    /// # Errors
    ///
    /// When the system gives no randomness for the stream's id.
    pub(crate) fn new(shared: Arc<Shared<R, Q>>) -> Result<Box<Self>, getrandom::Error> {
        // One sequence for all listeners: a registration names its connection by number alone.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let config = Arc::clone(&shared.config);
        let limits = Limits {
            max_stanza_size: config.max_stanza_size,
            ..Limits::default()
        };
        Ok(Box::new(Self {
            shared,
            id: ConnectionId(NEXT.fetch_add(1, Ordering::Relaxed)),
            stream: Stream::new(config, StreamId::random()?),
            framer: Framer::new(limits),
            buffer: ReadBuffer::default(),
        }))
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    /// Runs until the socket is closed.
    pub(crate) async fn run(mut self: Box<Self>, socket: TcpStream) {
        let (mut reading, mut writing) = socket.into_split();
        match self.negotiate(&mut reading, &mut writing).await {
            Ok(open) => self.serve(open, reading, writing).await,
            Err(Failure::Farewell(farewell)) => {
                self.note(&farewell);
                closing::close(reading, writing, &farewell).await;
            }
            Err(Failure::Lost(error)) => tracing::debug!(%error, "Connection lost"),
        }
    }

    async fn negotiate(
        &mut self,
        reading: &mut OwnedReadHalf,
        writing: &mut OwnedWriteHalf,
    ) -> Result<Open, Failure> {
        let shared = Arc::clone(&self.shared);
        let mut negotiation = Negotiation {
            config: &shared.config,
            registrar: &*shared.registrar,
            connection: self.id,
            shutdown: &shared.shutdown,
            reading,
            writing,
            stream: &mut self.stream,
            framer: &mut self.framer,
            buffer: &mut self.buffer,
            deadline: Instant::now() + shared.config.state_timeout,
            received: 0,
            holds_name: false,
        };
        let component = negotiation.authenticate().await?;
        let outbox = Arc::new(Outbox::new(shared.config.outbox));
        let outcome = negotiation.register(&component, &outbox).await;
        if outcome.is_err() && negotiation.holds_name {
            self.unregister(&component).await;
            self.give_back(outbox.finish());
        }
        outcome.map(|()| Open { component, outbox })
    }

    async fn serve(
        mut self: Box<Self>,
        open: Open,
        reading: OwnedReadHalf,
        writing: OwnedWriteHalf,
    ) {
        let Open { component, outbox } = open;
        let shared = Arc::clone(&self.shared);
        let _components = Gauge::new(&shared.metrics.components);
        tracing::debug!(domain = %component.domain, "Component registered");
        let stop = shared.shutdown.child_token();
        let abandon = CancellationToken::new();
        let writer = tokio::spawn(self.writer(writing, &outbox).run(abandon.clone()));
        let reader = self.reader(reading, &component, &outbox);
        let mut reading = Box::pin(reader.run(stop.clone()));

        let ended = tokio::select! {
            ended = &mut reading => Some(ended),
            _ = outbox.closed() => None,
            () = shared.shutdown.cancelled() => None,
        };
        stop.cancel();
        if let Some((_, ReadEnd::Lost(_))) = ended {
            abandon.cancel();
        }
        // Stanzas that are being routed when the connection ends are routed to their end. Unless
        // the outbox is closed already, it stays open for the answers to them.
        let (ended, writing) = match ended {
            Some(ended) => {
                self.unregister(&component).await;
                (ended, self.leave(&outbox, writer, &abandon).await)
            }
            None if outbox.close_reason().is_some() => {
                self.unregister(&component).await;
                tokio::join!(reading, self.leave(&outbox, writer, &abandon))
            }
            None => {
                let (ended, ()) = tokio::join!(reading, self.unregister(&component));
                (ended, self.leave(&outbox, writer, &abandon).await)
            }
        };
        let (reading, read_end) = ended;
        let farewell = self.farewell(read_end, &outbox);
        self.note(&farewell);
        if let Some(writing) = writing {
            closing::close(reading, writing, &farewell).await;
        }
    }

    /// Lets the writer write what is queued, for a bounded time, and gives back what is left. Gives
    /// the socket if the stream can still be ended properly.
    async fn leave(
        &self,
        outbox: &Outbox,
        mut writer: JoinHandle<Finished>,
        abandon: &CancellationToken,
    ) -> Option<OwnedWriteHalf> {
        outbox.close(if self.shared.shutdown.is_cancelled() {
            CloseReason::SystemShutdown
        } else {
            CloseReason::Ended
        });
        let finished = match timeout(self.shared.config.flush_timeout, &mut writer).await {
            Ok(finished) => finished,
            Err(_) => {
                abandon.cancel();
                writer.await
            }
        };
        let mut finished = match finished {
            Ok(finished) => finished,
            Err(error) => {
                tracing::error!(%error, "Writer failed");
                self.give_back(outbox.finish());
                return None;
            }
        };
        finished.unwritten.extend(outbox.finish());
        self.give_back(finished.unwritten);
        finished.is_intact.then_some(finished.socket)
    }

    fn farewell(&mut self, read_end: ReadEnd, outbox: &Outbox) -> Farewell {
        match read_end {
            ReadEnd::Ended => self.stream.end(),
            ReadEnd::Lost(error) => {
                tracing::debug!(%error, "Connection lost");
                self.stream.end()
            }
            ReadEnd::Stopped => {
                let reason = outbox.close_reason().unwrap_or(CloseReason::Ended);
                self.stream.close(reason)
            }
            ReadEnd::Xml(error) => self.stream.xml_error(&error),
        }
    }

    /// Unregisters. That goes on when it takes longer than the connection can wait for it.
    async fn unregister(&self, component: &Component) {
        let registrar = Arc::clone(&self.shared.registrar);
        let component = component.clone();
        let id = self.id;
        let task = tokio::spawn(async move { registrar.unregister(&component, id).await });
        if timeout(self.shared.config.flush_timeout, task)
            .await
            .is_err()
        {
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

    fn note(&self, farewell: &Farewell) {
        self.shared.metrics.count_farewell(farewell);
        match &farewell.error {
            Some(error) => {
                tracing::debug!(condition = %error.condition, text = %error.text, "Stream refused");
            }
            None => tracing::debug!("Stream closed"),
        }
    }

    fn writer(&self, socket: OwnedWriteHalf, outbox: &Arc<Outbox>) -> Writer {
        Writer {
            socket,
            outbox: Arc::clone(outbox),
            metrics: Arc::clone(&self.shared.metrics),
            keepalive: self.shared.config.keepalive,
            write_timeout: self.shared.config.write_timeout,
        }
    }

    fn reader(
        &mut self,
        socket: OwnedReadHalf,
        component: &Component,
        outbox: &Arc<Outbox>,
    ) -> Box<Reader<Q::Session>> {
        let config = &self.shared.config;
        Box::new(Reader {
            socket,
            framer: std::mem::replace(&mut self.framer, Framer::new(Limits::default())),
            buffer: std::mem::take(&mut self.buffer),
            rule: SenderRule {
                domain: component.domain.clone(),
                is_subdomain: component.is_subdomain,
                hosts: Arc::clone(&config.hosts),
                check_from: config.check_from,
            },
            session: self.shared.router.session(Sender {
                component: component.clone(),
                connection: self.id,
                outbox: Arc::clone(outbox),
            }),
            outbox: Arc::clone(outbox),
            metrics: Arc::clone(&self.shared.metrics),
            stanzas: Vec::new(),
            rewritten: Rewritten::default(),
        })
    }
}
