//! What waits to be written to one component.

mod counters;
mod limits;
mod write_batch;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{AccessRule, CloseReason, Compactor, Delivery, LiveConfig};

pub use counters::OutboxCounters;
pub use limits::OutboxLimits;
pub(crate) use write_batch::{MAX_SLICES, Revoked, Unwritten, WriteBatch};

/// Once this much is queued, small deliveries are copied, so that memory stays in proportion to the
/// bytes that the limits count.
const COMPACT_FROM: usize = 16 * 1024;
/// An idle outbox keeps room for no more than so many deliveries.
const IDLE_CAPACITY: usize = 16;

/// The bounded queue between everybody who sends to one component and its one writer.
///
/// Every stanza that was accepted is in exactly one place (contract D1): in the queue, in the
/// batch of the writer, written, or in what [`Self::finish`] gave back.
///
/// Three ways lead in, with three bounds (contract D4): [`Self::push`] for senders of this node,
/// who wait when it is full; [`Self::push_from_peer`] for stanzas that already crossed a link,
/// which get some room beyond; [`Self::push_reply`] for error replies, which always fit.
pub struct Outbox {
    limits: OutboxLimits,
    /// The configuration of its component's listener; none in tests.
    listener: Option<Arc<LiveConfig>>,
    state: Mutex<State>,
    /// Mirrors the state's condition, written under its lock, so that asking takes no lock.
    congested: AtomicBool,
    room: Notify,
    closed: Notify,
    counters: OutboxCounters,
}

struct State {
    queue: VecDeque<Delivery>,
    /// Sum of the lengths in `queue`.
    bytes: usize,
    closed: Option<CloseReason>,
    /// The writer, if it waits for something to write.
    writer: Option<Waker>,
    compactor: Compactor,
}

/// A delivery that an outbox did not take, given back.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The connection is ending or has ended.
    #[error("the outbox is closed")]
    Closed(Delivery),
    /// The bound for this way in is reached.
    #[error("the outbox is full")]
    Full(Delivery),
}

/// Which bound a push obeys.
#[derive(Clone, Copy)]
enum Way {
    Local,
    Peer,
    Reply,
}

// === impl PushError ===

impl PushError {
    /// The delivery that was not taken.
    #[must_use]
    pub fn into_delivery(self) -> Delivery {
        match self {
            Self::Closed(delivery) | Self::Full(delivery) => delivery,
        }
    }
}

// === impl Outbox ===

impl Outbox {
    /// An empty, open outbox that everybody may send to.
    #[must_use]
    pub fn new(limits: OutboxLimits) -> Self {
        Self {
            limits,
            listener: None,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                bytes: 0,
                closed: None,
                writer: None,
                compactor: Compactor::default(),
            }),
            congested: AtomicBool::new(false),
            room: Notify::new(),
            closed: Notify::new(),
            counters: OutboxCounters::default(),
        }
    }

    /// The outbox of a component that is connected to the listener with this configuration.
    #[must_use]
    pub fn of_listener(listener: Arc<LiveConfig>) -> Self {
        let limits = listener.load().outbox;
        Self {
            listener: Some(listener),
            ..Self::new(limits)
        }
    }

    /// The rule in force about who may send to the component (contract L2); `None`: everybody.
    /// Whoever pushes asks it first: the outbox itself does not look into what it is given.
    #[must_use]
    pub fn access(&self) -> Option<Arc<AccessRule>> {
        let config = self.listener.as_ref()?.load();
        (!config.access.admits_all()).then(|| Arc::clone(&config.access))
    }

    /// Queues what a component of this node sends.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] while the outbox is congested: wait with [`Self::wait_for_room`], then
    /// try again. [`PushError::Closed`] once it is closed.
    pub fn push(&self, delivery: Delivery) -> Result<(), PushError> {
        self.push_by(Way::Local, delivery)
    }

    /// Queues what came over a link from another node, up to the hard limit.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] at the hard limit, [`PushError::Closed`] once it is closed.
    pub fn push_from_peer(&self, delivery: Delivery) -> Result<(), PushError> {
        self.push_by(Way::Peer, delivery)
    }

    /// Queues an error reply. It always fits: the number of replies is bounded by what the
    /// component itself sends, and it is not read while [`Self::is_overfull`].
    ///
    /// # Errors
    ///
    /// Gives the reply back once the outbox is closed.
    pub fn push_reply(&self, reply: Delivery) -> Result<(), Delivery> {
        self.push_by(Way::Reply, reply)
            .map_err(PushError::into_delivery)
    }

    /// Waits until [`Self::push`] would succeed, or the outbox is closed. Others may be quicker:
    /// the push that follows can still find it full.
    pub async fn wait_for_room(&self) {
        self.wait_while(Self::is_congested).await;
    }

    /// Waits until the outbox is no longer [overfull](Self::is_overfull), or is closed.
    pub async fn wait_for_reply_room(&self) {
        self.wait_while(Self::is_overfull).await;
    }

    /// True from the moment the soft limit is reached until half of it has drained.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.congested.load(Ordering::Acquire)
    }

    /// True when error replies have filled it beyond the hard limit: whoever causes them should
    /// not be read until it reads them.
    #[must_use]
    pub fn is_overfull(&self) -> bool {
        self.is_congested() && {
            let state = self.state.lock();
            state.closed.is_none() && state.bytes >= self.limits.hard
        }
    }

    /// Closes it: nothing more gets in, the writer still writes what is queued, then the
    /// connection ends. False if it was closed before; the first reason counts.
    pub fn close(&self, reason: CloseReason) -> bool {
        let writer = {
            let mut state = self.state.lock();
            if state.closed.is_some() {
                return false;
            }
            state.closed = Some(reason);
            self.congested.store(false, Ordering::Release);
            state.writer.take()
        };
        self.closed.notify_waiters();
        self.room.notify_waiters();
        if let Some(writer) = writer {
            writer.wake();
        }
        true
    }

    /// Why it was closed, if it was.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.state.lock().closed
    }

    /// Waits until it is closed.
    pub async fn closed(&self) -> CloseReason {
        loop {
            let mut notified = pin!(self.closed.notified());
            notified.as_mut().enable();
            if let Some(reason) = self.close_reason() {
                return reason;
            }
            notified.await;
        }
    }

    /// Closes it if it is still open, and takes out what nobody will write any more.
    #[must_use = "every stanza in it needs an outcome (contract D1)"]
    pub fn finish(&self) -> Vec<Delivery> {
        self.close(CloseReason::Ended);
        let mut state = self.state.lock();
        state.bytes = 0;
        state.compactor.shrink();
        std::mem::take(&mut state.queue).into()
    }

    /// Bytes that wait, without those the writer has already taken.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// What has been written so far.
    #[must_use]
    pub fn counters(&self) -> &OutboxCounters {
        &self.counters
    }

    /// Moves what is queued into `batch`, as much as it takes. False when the outbox is closed and
    /// empty: there will never be more. There is one writer: a second waiter would displace it.
    pub(crate) async fn take_into(&self, batch: &mut WriteBatch) -> bool {
        poll_fn(|cx| self.poll_take_into(cx.waker(), batch)).await
    }

    fn push_by(&self, way: Way, delivery: Delivery) -> Result<(), PushError> {
        let writer = {
            let mut state = self.state.lock();
            if state.closed.is_some() {
                return Err(PushError::Closed(delivery));
            }
            let full = match way {
                Way::Local => self.is_congested(),
                Way::Peer => state.bytes >= self.limits.hard,
                Way::Reply => false,
            };
            if full {
                return Err(PushError::Full(delivery));
            }
            state.push(delivery);
            if state.bytes >= self.limits.soft {
                self.congested.store(true, Ordering::Release);
            }
            state.writer.take()
        };
        if let Some(writer) = writer {
            writer.wake();
        }
        Ok(())
    }

    fn poll_take_into(&self, writer: &Waker, batch: &mut WriteBatch) -> Poll<bool> {
        let relieved = {
            let mut state = self.state.lock();
            if state.queue.is_empty() {
                if state.closed.is_some() {
                    return Poll::Ready(false);
                }
                state.writer = Some(writer.clone());
                return Poll::Pending;
            }
            state.take_into(batch);
            let relieved = self.is_congested() && state.bytes <= self.limits.soft / 2;
            if relieved {
                self.congested.store(false, Ordering::Release);
            }
            relieved
        };
        if relieved {
            self.room.notify_waiters();
        }
        Poll::Ready(true)
    }

    async fn wait_while(&self, blocked: impl Fn(&Self) -> bool) {
        loop {
            let mut notified = pin!(self.room.notified());
            notified.as_mut().enable();
            if !blocked(self) {
                return;
            }
            notified.await;
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The deliveries inside may refer back to this very outbox.
        f.debug_struct("Outbox")
            .field("queued_bytes", &self.queued_bytes())
            .field("closed", &self.close_reason())
            .finish_non_exhaustive()
    }
}

// === impl State ===

impl State {
    fn push(&mut self, mut delivery: Delivery) {
        let length = delivery.bytes.len();
        if self.bytes >= COMPACT_FROM {
            delivery.bytes = self.compactor.compact(delivery.bytes);
        }
        self.bytes += length;
        self.queue.push_back(delivery);
    }

    fn take_into(&mut self, batch: &mut WriteBatch) {
        while batch.has_room()
            && let Some(delivery) = self.queue.pop_front()
        {
            self.bytes -= delivery.bytes.len();
            batch.push(delivery);
        }
        if self.queue.is_empty() {
            self.compactor.shrink();
            self.queue.shrink_to(IDLE_CAPACITY);
        }
    }
}
