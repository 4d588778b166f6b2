use std::io;
use std::ops::ControlFlow;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio_util::sync::CancellationToken;

use super::read_buffer::ReadBuffer;
use super::transport::ReadHalf;
use crate::metrics::ListenerMetrics;
use crate::shaper::Shaper;
use crate::xml::{Framer, Outcome, XmlError};
use crate::{
    Delivery, Outbox, RouteSession, SenderRule, Stanza, StanzaBatch, StanzaFault, error_reply,
};

/// Stanzas framed before they are routed.
const BATCH: usize = 512;
/// An idle connection keeps room for no more than so many stanzas.
const IDLE_CAPACITY: usize = 8;

/// Reads an open stream: frames it, checks the stanzas, answers the bad ones and routes the rest.
pub(super) struct Reader<S> {
    pub(super) socket: ReadHalf,
    pub(super) framer: Framer,
    pub(super) buffer: ReadBuffer,
    pub(super) shaper: Shaper,
    pub(super) rule: SenderRule,
    pub(super) session: S,
    pub(super) outbox: Arc<Outbox>,
    pub(super) metrics: Arc<ListenerMetrics>,
    /// Reused from batch to batch.
    pub(super) stanzas: Vec<Stanza>,
    pub(super) rewritten: Rewritten,
}

/// A run of neighbouring stanzas that could not go out as they came in (contract X5).
#[derive(Default)]
pub(super) struct Rewritten {
    bytes: BytesMut,
    stanzas: Vec<Stanza>,
}

/// Why reading ended.
#[derive(Debug)]
pub(super) enum ReadEnd {
    /// `</stream:stream>` or a stream error, or the component stopped sending without either.
    Ended,
    /// The connection broke.
    Lost(io::Error),
    /// The connection is to be closed.
    Stopped,
    /// The component sent what no stream may hold.
    Xml(XmlError),
}

// === impl ReadEnd ===

impl ReadEnd {
    /// What an operator may want to know beyond a stream error.
    pub(super) fn lost(&self) -> Option<String> {
        match self {
            Self::Lost(error) => Some(format!("connection lost: {error}")),
            Self::Stopped => Some("connection lost: it could not be written to".to_owned()),
            Self::Ended | Self::Xml(_) => None,
        }
    }
}

// === impl Reader ===

impl<S: RouteSession> Reader<S> {
    /// Runs until the stream ends or `stop` is cancelled, which is looked at between batches alone:
    /// whatever was read from the component is routed (contract D1). Gives the socket back.
    pub(super) async fn run(mut self: Box<Self>, stop: CancellationToken) -> (ReadHalf, ReadEnd) {
        let end = self.read_all(&stop).await;
        (self.socket, end)
    }

    async fn read_all(&mut self, stop: &CancellationToken) -> ReadEnd {
        let mut stopped = pin!(stop.cancelled());
        loop {
            let outcome = self.route_buffered().await;
            // Whoever causes more error replies than it reads is not read either.
            if self.outbox.is_overfull() {
                tokio::select! {
                    () = self.outbox.wait_for_reply_room() => {}
                    () = &mut stopped => return ReadEnd::Stopped,
                }
            }
            let outcome = match outcome {
                ControlFlow::Continue(outcome) => outcome,
                ControlFlow::Break(end) => return end,
            };
            match outcome {
                Outcome::More => {}
                Outcome::Limit if stop.is_cancelled() => return ReadEnd::Stopped,
                Outcome::Limit => continue,
                Outcome::End => return ReadEnd::Ended,
                Outcome::Error(error) => return ReadEnd::Xml(error),
            }
            self.shrink();
            tokio::select! {
                biased;
                () = &mut stopped => return ReadEnd::Stopped,
                () = self.shaper.pause(&self.metrics) => {}
            }
            tokio::select! {
                biased;
                () = &mut stopped => return ReadEnd::Stopped,
                read = self.buffer.read_from(&mut self.socket, self.shaper.portion()) => match read {
                    Ok(0) => return ReadEnd::Ended,
                    Ok(read) => {
                        ListenerMetrics::add(&self.metrics.bytes_in, read as u64);
                        self.shaper.charge(read);
                    }
                    Err(error) => return ReadEnd::Lost(error),
                },
            }
        }
    }

    /// Deals with the complete stanzas in the buffer, one batch of them.
    async fn route_buffered(&mut self) -> ControlFlow<ReadEnd, Outcome> {
        let mut stanzas = std::mem::take(&mut self.stanzas);
        let progress = self
            .framer
            .read_elements(self.buffer.as_slice(), BATCH, &mut stanzas);
        let chunk = self.buffer.split_to(progress.consumed);
        if !stanzas.is_empty() {
            ListenerMetrics::add(&self.metrics.stanzas_in, stanzas.len() as u64);
            self.forward(&chunk, &stanzas).await?;
            stanzas.clear();
        }
        self.stanzas = stanzas;
        ControlFlow::Continue(progress.outcome)
    }

    /// Routes `stanzas`, which lie in `chunk`, in their order, in runs as long as possible. The
    /// component's own stream error ends the stream: what is behind it is not looked at.
    async fn forward(&mut self, chunk: &Bytes, stanzas: &[Stanza]) -> ControlFlow<ReadEnd> {
        // Those from here on are fine as they are, and wait to be routed together.
        let mut start = 0;
        for (index, stanza) in stanzas.iter().enumerate() {
            if stanza.is_stream_error() {
                self.route_rewritten().await;
                self.route(chunk, &stanzas[start..index]).await;
                note_stream_error(chunk, stanza);
                return ControlFlow::Break(ReadEnd::Ended);
            }
            if self.framer.needs_rewrite(stanza) {
                self.route(chunk, &stanzas[start..index]).await;
                start = index + 1;
                self.rewrite(chunk, stanza);
                continue;
            }
            if !self.rewritten.stanzas.is_empty() {
                self.route_rewritten().await;
            }
            if let Err(fault) = self.rule.check(chunk, stanza) {
                self.route(chunk, &stanzas[start..index]).await;
                start = index + 1;
                self.answer(chunk, stanza, &fault);
            }
        }
        self.route_rewritten().await;
        self.route(chunk, &stanzas[start..]).await;
        ControlFlow::Continue(())
    }

    /// Adds `stanza` to the rewritten run, unless it is faulty.
    fn rewrite(&mut self, chunk: &Bytes, stanza: &Stanza) {
        let start = self.rewritten.bytes.len();
        let rewritten = self
            .framer
            .rewrite(chunk, stanza, &mut self.rewritten.bytes);
        match self.rule.check(&self.rewritten.bytes, &rewritten) {
            Ok(()) => self.rewritten.stanzas.push(rewritten),
            Err(fault) => {
                self.answer(&self.rewritten.bytes, &rewritten, &fault);
                self.rewritten.bytes.truncate(start);
            }
        }
    }

    async fn route_rewritten(&mut self) {
        if self.rewritten.stanzas.is_empty() {
            return;
        }
        let Rewritten { bytes, stanzas } = std::mem::take(&mut self.rewritten);
        self.route(&bytes.freeze(), &stanzas).await;
    }

    async fn route(&mut self, bytes: &Bytes, stanzas: &[Stanza]) {
        if !stanzas.is_empty() {
            self.session.route(StanzaBatch { bytes, stanzas }).await;
        }
    }

    /// Answers a faulty stanza, unless it must not be answered (contract V1 to V6).
    fn answer(&self, buffer: &[u8], stanza: &Stanza, fault: &StanzaFault) {
        let mut reply = BytesMut::new();
        let text = Some(fault.text);
        let answered = error_reply(buffer, stanza, fault.condition, text, &mut reply)
            && self
                .outbox
                .push_reply(Delivery {
                    bytes: reply.freeze(),
                    count: 1,
                    origin: None,
                    receipt: None,
                })
                .is_ok();
        let count = if answered {
            &self.metrics.stanza_errors
        } else {
            &self.metrics.faults_unanswered
        };
        ListenerMetrics::add(count, 1);
    }

    /// Gives memory back before waiting.
    fn shrink(&mut self) {
        if self.stanzas.capacity() > IDLE_CAPACITY {
            self.stanzas = Vec::new();
        }
        // Empty between batches, but for memory that faulty stanzas may have left.
        self.rewritten = Rewritten::default();
    }
}

/// Logs the stream error with which a component gives its stream up: it is not answered
/// (RFC 6120 §4.9.1.1).
pub(super) fn note_stream_error(buffer: &[u8], stanza: &Stanza) {
    const LOGGED: usize = 512;
    let element = stanza.span.of(buffer);
    let element = element.get(..LOGGED).unwrap_or(element).escape_ascii();
    tracing::debug!(%element, "Component ended its stream with an error");
}
