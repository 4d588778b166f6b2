//! A stream that is open: from the handshake to its end (contract D, S10, S12).

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::reader::{ReadEnd, Reader, Rewritten};
use super::transport::{ReadHalf, Transport, WriteHalf};
use super::writer::{Finished, Writer};
use super::{Connection, Open, closing};
use crate::authenticated::Authenticated;
use crate::farewell::Farewell;
use crate::metrics::Gauge;
use crate::peer_log::EventKind;
use crate::stream_error::StreamError;
use crate::xml::{Framer, Limits};
use crate::{CloseReason, Component, Outbox, Registrar, Router, Sender, SenderRule};

impl<R: Registrar, Q: Router> Connection<R, Q> {
    /// Routes what the component sends and writes what is for it, until the stream or the connection
    /// ends, and ends both.
    pub(super) async fn serve(mut self: Box<Self>, open: Open, transport: Transport) {
        let Open {
            authenticated,
            outbox,
        } = open;
        let component = &authenticated.component;
        let Transport { reading, writing } = transport;
        let shared = Arc::clone(&self.shared);
        let _components = Gauge::new(&shared.metrics.components);
        self.log(EventKind::Connected, Some(&component.domain), "");
        let stop = shared.stop.token.child_token();
        let abandon = CancellationToken::new();
        let writer = tokio::spawn(self.writer(writing, &outbox).run(abandon.clone()));
        let reader = self.reader(reading, component, &outbox);
        let mut reading = Box::pin(reader.run(stop.clone()));

        let (ended, reason) = self.until_end(&mut reading, &outbox, &authenticated).await;
        stop.cancel();
        if let Some((_, ReadEnd::Lost(_))) = ended {
            abandon.cancel();
        }
        // Stanzas that are being routed when the connection ends are routed to their end. Unless
        // the outbox is closed already, it stays open for the answers to them.
        let (ended, writing) = match ended {
            Some(ended) => {
                self.unregister(component).await;
                (ended, self.leave(&outbox, reason, writer, &abandon).await)
            }
            None if outbox.close_reason().is_some() => {
                self.unregister(component).await;
                tokio::join!(reading, self.leave(&outbox, reason, writer, &abandon))
            }
            None => {
                let (ended, ()) = tokio::join!(reading, self.unregister(component));
                (ended, self.leave(&outbox, reason, writer, &abandon).await)
            }
        };
        let (reading, read_end) = ended;
        let lost = read_end.lost();
        let farewell = self.farewell(read_end, &outbox);
        shared.metrics.count_farewell(&farewell);
        let why = farewell.error.as_ref().map(StreamError::to_string).or(lost);
        let why = why.as_deref().unwrap_or("closed by the component");
        let kind = match farewell.is_fault() {
            true => EventKind::StreamFailed,
            false => EventKind::Disconnected,
        };
        self.log(kind, Some(&component.domain), why);
        if let Some(writing) = writing {
            closing::close(Transport { reading, writing }, &farewell).await;
        }
    }

    /// Waits for what ends an open stream: what `reading` gives, if it was that, and why.
    async fn until_end<E>(
        &self,
        reading: &mut (impl Future<Output = E> + Unpin),
        outbox: &Outbox,
        authenticated: &Authenticated,
    ) -> (Option<E>, CloseReason) {
        let stop = &self.shared.stop;
        let (ended, reason) = tokio::select! {
            ended = reading => (Some(ended), CloseReason::Ended),
            _ = outbox.closed() => (None, CloseReason::Ended),
            () = stop.token.cancelled() => (None, stop.reason()),
            () = self.until_invalid(authenticated) => (None, CloseReason::Reset),
        };
        // That ends the reading as well, and either may be noticed first.
        match stop.token.is_cancelled() {
            true => (ended, stop.reason()),
            false => (ended, reason),
        }
    }

    /// Ready when a new configuration does not let the component stay (contract A4).
    async fn until_invalid(&self, authenticated: &Authenticated) {
        let live = &self.shared.config;
        let mut changes = live.subscribe();
        while authenticated.stays_valid(&live.current()) {
            // The other end is in `live`, and never goes.
            let _ = changes.changed().await;
        }
    }

    /// Lets the writer write what is queued, for a bounded time, and gives back what is left. Gives
    /// the socket if the stream can still be ended properly.
    async fn leave(
        &self,
        outbox: &Outbox,
        reason: CloseReason,
        mut writer: JoinHandle<Finished>,
        abandon: &CancellationToken,
    ) -> Option<WriteHalf> {
        outbox.close(reason);
        let finished = match timeout(self.config.flush_timeout, &mut writer).await {
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

    fn writer(&self, socket: WriteHalf, outbox: &Arc<Outbox>) -> Writer {
        Writer {
            socket,
            outbox: Arc::clone(outbox),
            metrics: Arc::clone(&self.shared.metrics),
            keepalive: self.config.keepalive,
            write_timeout: self.config.write_timeout,
        }
    }

    fn reader(
        &mut self,
        socket: ReadHalf,
        component: &Component,
        outbox: &Arc<Outbox>,
    ) -> Box<Reader<Q::Session>> {
        let config = &self.config;
        Box::new(Reader {
            socket,
            framer: std::mem::replace(&mut self.framer, Framer::new(Limits::default())),
            buffer: std::mem::take(&mut self.buffer),
            shaper: self.shaper.take(),
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
