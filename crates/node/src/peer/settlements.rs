use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use switchyard_listener::{Consignor, Progress};
use switchyard_registry::Incarnation;

use super::receiver::{ReceiveError, StreamId};
use super::{LocalDelivery, proto};

/// What becomes of the parcels that this node took in one sequence of one sender: told by the
/// writers of components, and by whoever takes the parcels off the link, to the stream that is open.
///
/// A parcel is *open* from its arrival until it is written or rejected. What the sender has not
/// heard is never forgotten: a new stream begins with all rejects that it has not confirmed and with
/// all parcels that are open, so that the rest must have been written (contract D1).
pub(super) struct Settlements {
    /// The life of this node that the sender sends to.
    life: Incarnation,
    local: Arc<dyn LocalDelivery>,
    /// The sender has answered everything of this sequence.
    void: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The stream that is told.
    stream: StreamId,
    /// The registry has given the sender up.
    sender_gone: bool,
    /// Parcels that wait to be written, and how much of them has been.
    open: BTreeMap<u64, Progress>,
    /// Parcels that were written, in this order, since the last report.
    written: Vec<u64>,
    /// Open parcels that were written in part since the last report.
    advanced: Vec<u64>,
    /// Rejects that the sender has not confirmed; the first `told` of them are reported.
    rejects: VecDeque<proto::Reject>,
    told: usize,
    /// How many the sender has confirmed.
    confirmed: u64,
    /// Wakes the stream when there is something to report.
    waker: Option<Waker>,
}

/// What to tell the sender.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// To be sent first.
    pub(super) rejects: Vec<proto::Reject>,
    pub(super) written: Vec<proto::Range>,
    pub(super) partly_written: Vec<proto::Partial>,
}

/// Where a new stream begins.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) rejects: Vec<proto::Reject>,
    pub(super) unwritten: Vec<proto::Range>,
    pub(super) partly_written: Vec<proto::Partial>,
}

impl Settlements {
    /// For a sequence that begins with `stream`, whose sender has seen so many rejects of it.
    pub(super) fn new(
        life: Incarnation,
        local: Arc<dyn LocalDelivery>,
        stream: StreamId,
        rejects_seen: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            life,
            local,
            void: AtomicBool::new(false),
            state: Mutex::new(State {
                stream,
                sender_gone: false,
                open: BTreeMap::new(),
                written: Vec::new(),
                advanced: Vec::new(),
                rejects: VecDeque::new(),
                told: 0,
                confirmed: rejects_seen,
                waker: None,
            }),
        })
    }

    /// A new stream takes over. It begins with the [`Self::standing`].
    pub(super) fn reopen(&self, stream: StreamId, rejects_seen: u64) {
        let mut state = self.state.lock();
        state.stream = stream;
        state.sender_gone = false;
        state.confirm_rejects(rejects_seen);
        let former = state.waker.take();
        drop(state);
        if let Some(former) = former {
            former.wake();
        }
    }

    /// Everything that a sender needs to know who has heard nothing since its last confirmation.
    /// It counts as reported.
    pub(super) fn standing(&self) -> Standing {
        let mut state = self.state.lock();
        state.written = Vec::new();
        state.advanced = Vec::new();
        state.told = state.rejects.len();
        Standing {
            rejects: state.rejects.iter().copied().collect(),
            unwritten: ranges(state.open.keys().copied()),
            partly_written: partials(state.open.iter()),
        }
    }

    /// These parcels have arrived.
    pub(super) fn expect(&self, parcels: RangeInclusive<u64>) {
        let new = parcels.map(|seq| (seq, Progress::default()));
        self.state.lock().open.extend(new);
    }

    /// Parcels behind this one have not arrived after all.
    pub(super) fn expect_none_behind(&self, last: u64) {
        self.state.lock().open.split_off(&(last + 1));
    }

    /// A parcel was not taken.
    pub(super) fn reject(&self, seq: u64, reason: proto::reject::Reason) {
        let mut state = self.state.lock();
        if let Some(progress) = state.open.remove(&seq) {
            state.reject(seq, reason, progress);
        }
    }

    /// The sender has seen so many rejects.
    pub(super) fn confirm_rejects(&self, seen: u64) {
        self.state.lock().confirm_rejects(seen);
    }

    /// Ready when there is something to report to `stream`.
    ///
    /// # Errors
    ///
    /// When a later stream has taken over.
    #[allow(clippy::needless_pass_by_ref_mut, reason = "as every poll is written")]
    pub(super) fn poll_news(
        &self,
        stream: StreamId,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ReceiveError>> {
        let mut state = self.state.lock();
        if state.stream != stream {
            return Poll::Ready(Err(ReceiveError::Superseded));
        }
        if state.has_news() {
            return Poll::Ready(Ok(()));
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What `stream` has not been told yet.
    ///
    /// # Errors
    ///
    /// When a later stream has taken over.
    pub(super) fn report(&self, stream: StreamId) -> Result<Report, ReceiveError> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if state.stream != stream {
            return Err(ReceiveError::Superseded);
        }
        let mut written = std::mem::take(&mut state.written);
        written.sort_unstable();
        let mut advanced = std::mem::take(&mut state.advanced);
        advanced.sort_unstable();
        advanced.dedup();
        let advanced = advanced
            .iter()
            .filter_map(|seq| state.open.get_key_value(seq));
        let report = Report {
            rejects: state.rejects.range(state.told..).copied().collect(),
            written: ranges(written.into_iter()),
            partly_written: partials(advanced),
        };
        state.told = state.rejects.len();
        Ok(report)
    }

    /// The sender has answered all parcels of this sequence: none may be written any more.
    pub(super) fn void(&self) {
        self.void.store(true, Ordering::Release);
    }

    /// The registry has given the sender up: what is lost from now on this node answers itself.
    pub(super) fn sender_gone(&self) {
        self.state.lock().sender_gone = true;
    }

    /// Changes the state, then wakes the stream.
    fn settle<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let result = change(&mut state);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }
}

impl Consignor for Settlements {
    fn may_write(&self) -> bool {
        // Once this node's lease has run out its peers may have given it up and answered what it
        // had not confirmed. A process that was stopped learns nothing else of that in time.
        !self.void.load(Ordering::Acquire) && self.local.is_alive(self.life)
    }

    fn written(&self, seq: u64) {
        self.settle(|state| {
            if state.open.remove(&seq).is_some() {
                state.written.push(seq);
            }
        });
    }

    fn partly_written(&self, seq: u64, progress: Progress) {
        self.settle(|state| {
            if let Some(known) = state.open.get_mut(&seq) {
                *known = progress;
                state.advanced.push(seq);
            }
        });
    }

    fn lost(&self, seq: u64) -> bool {
        let valid = self.may_write();
        self.settle(|state| {
            let Some(progress) = state.open.remove(&seq) else {
                return true;
            };
            if state.sender_gone && valid {
                // Should the sender come back after all, it need not know the difference.
                state.written.push(seq);
                return false;
            }
            state.reject(seq, proto::reject::Reason::Lost, progress);
            true
        })
    }
}

impl State {
    fn has_news(&self) -> bool {
        !self.written.is_empty() || !self.advanced.is_empty() || self.told < self.rejects.len()
    }

    fn reject(&mut self, seq: u64, reason: proto::reject::Reason, progress: Progress) {
        self.rejects.push_back(proto::Reject {
            seq,
            reason: reason.into(),
            written_stanzas: progress.stanzas,
            written_bytes: progress.bytes as u64,
        });
    }

    fn confirm_rejects(&mut self, seen: u64) {
        while self.confirmed < seen && self.rejects.pop_front().is_some() {
            self.confirmed += 1;
            self.told = self.told.saturating_sub(1);
        }
    }
}

/// Ascending numbers as ranges.
fn ranges(numbers: impl Iterator<Item = u64>) -> Vec<proto::Range> {
    let mut ranges: Vec<proto::Range> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(range) if range.last + 1 == number => range.last = number,
            _ => ranges.push(proto::Range {
                first: number,
                last: number,
            }),
        }
    }
    ranges
}

/// Those that have been written in part.
fn partials<'a>(parcels: impl Iterator<Item = (&'a u64, &'a Progress)>) -> Vec<proto::Partial> {
    parcels
        .filter(|(_, progress)| progress.stanzas > 0)
        .map(|(seq, progress)| proto::Partial {
            seq: *seq,
            stanzas: progress.stanzas,
            bytes: progress.bytes as u64,
        })
        .collect()
}
