use std::collections::VecDeque;

use super::flows::Flows;
use super::held::{self, Held};
use super::{Destination, Parcel, batch, proto};

/// How much a link may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowLimits {
    /// Bytes of stanzas that the peer has not taken, sent or not, at which further parcels are
    /// refused. One parcel may exceed it.
    pub(crate) bytes: usize,
    /// Parcels, likewise.
    pub(crate) parcels: usize,
    /// Bytes on their way to one destination, likewise.
    pub(crate) destination_bytes: usize,
}

/// Parcels on their way over a link: those to be sent, those sent and not acknowledged yet, and
/// those that the peer holds and has not written yet.
///
/// Sequence numbers are places in the queue of the first two. A parcel that was provably never
/// received gives its number back when it leaves, so that there are no gaps. Every parcel leaves
/// exactly once: written, rejected, or drained.
#[derive(Debug)]
pub(super) struct Window {
    limits: WindowLimits,
    /// The first `sent` of them are sent.
    entries: VecDeque<Entry>,
    sent: usize,
    /// Sequence number of the first entry.
    first: u64,
    rejected_through: u64,
    /// Rejects of this session that have arrived.
    rejects_seen: u64,
    /// What the peer has taken. Outside of the limits.
    held: Held,
    bytes: usize,
    flows: Flows,
    /// A parcel found no room; cleared when half of the limits is free again.
    full: bool,
    /// Somebody may wait for answers up to this sequence number.
    awaited: u64,
    relief: bool,
}

/// `None` once rejected: the number stays taken until it is acknowledged.
type Entry = Option<Parcel>;

/// Why a parcel was not queued. It is given back.
#[derive(Debug)]
pub(super) enum PushError {
    /// The window is full.
    Full(Parcel),
    /// Too much is on its way to this destination, or the receiver asked to hold back.
    Congested(Parcel),
}

/// The peer answered something that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer answered parcel {seq}, but those under way are {first} to {last}")]
pub(super) struct Violation {
    seq: u64,
    first: u64,
    last: u64,
}

impl Window {
    pub(super) fn new(limits: WindowLimits) -> Self {
        Self {
            limits,
            entries: VecDeque::new(),
            sent: 0,
            first: 1,
            rejected_through: 0,
            rejects_seen: 0,
            held: Held::default(),
            bytes: 0,
            flows: Flows::new(limits.destination_bytes),
            full: false,
            awaited: 0,
            relief: false,
        }
    }

    /// Queues a parcel behind all others.
    pub(super) fn push(&mut self, parcel: Parcel) -> Result<(), PushError> {
        if self.is_full() {
            self.full = true;
            return Err(PushError::Full(parcel));
        }
        let bytes = parcel.delivery.bytes.len();
        if !self.flows.admit(&parcel.to, bytes) {
            return Err(PushError::Congested(parcel));
        }
        self.bytes += bytes;
        self.entries.push_back(Some(parcel));
        Ok(())
    }

    /// Whether it is worth while to try again after a [`PushError`]. If not, there will be relief.
    pub(super) fn has_room(&mut self, to: &Destination) -> bool {
        self.full |= self.is_full();
        self.flows.is_open(to) && !self.full
    }

    /// Whether there is anything for `to` that the peer has not answered.
    pub(super) fn has(&self, to: &Destination) -> bool {
        self.flows.has(to)
    }

    /// The sequence number of the last parcel, sent or not.
    pub(super) fn last(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    /// Whether the peer has answered everything up to a sequence number. If not, there will be relief.
    pub(super) fn is_answered(&mut self, through: u64) -> bool {
        let answered = self.first > through;
        if !answered {
            self.awaited = self.awaited.max(through);
        }
        answered
    }

    /// Pins what is for `to` and the peer has not answered.
    pub(super) fn pin(&mut self, to: &Destination) {
        if self.flows.pin(to) {
            let parcels = self.entries.iter_mut().flatten();
            let concerned = parcels.filter(|parcel| parcel.to == *to);
            concerned.for_each(Parcel::pin);
        }
    }

    /// Pins everything that the peer has not answered.
    pub(super) fn pin_all(&mut self) {
        self.entries.iter_mut().flatten().for_each(Parcel::pin);
    }

    /// True once after something happened that those who wait for room may be waiting for.
    pub(super) fn take_relief(&mut self) -> bool {
        std::mem::take(&mut self.relief)
    }

    /// The next parcels to send, about `max_bytes` of them and at least one, and marks them sent.
    pub(super) fn take_batch(&mut self, max_bytes: usize) -> Option<proto::Batch> {
        let start = self.sent;
        let mut bytes = 0;
        for parcel in self.entries.range(start..).flatten() {
            bytes += parcel.delivery.bytes.len();
            if bytes > max_bytes && self.sent > start {
                break;
            }
            self.sent += 1;
        }
        if self.sent == start {
            return None;
        }
        let parcels = self.entries.range(start..self.sent).flatten();
        let first_seq = self.first + start as u64;
        Some(batch::encode(first_seq, self.rejects_seen, parcels))
    }

    /// Holds what the peer has taken, and forgets what it has written.
    ///
    /// # Errors
    ///
    /// When it was never sent.
    pub(super) fn on_ack(&mut self, ack: &proto::Ack) -> Result<(), Violation> {
        self.on_taken(ack.through_seq)?;
        for range in &ack.written {
            if range.last >= self.first {
                return Err(self.violation(range.last));
            }
            self.held.forget(range.first..=range.last);
        }
        self.note_progress(&ack.partly_written);
        Ok(())
    }

    fn on_taken(&mut self, through: u64) -> Result<(), Violation> {
        if through < self.first {
            return Ok(());
        }
        let taken = self.sent_place(through)? + 1;
        for (seq, entry) in (self.first..).zip(self.entries.drain(..taken)) {
            let Some(parcel) = entry else { continue };
            let bytes = parcel.delivery.bytes.len();
            self.bytes -= bytes;
            self.relief |= self.flows.release(&parcel.to, bytes);
            self.held.insert(seq, parcel);
        }
        self.relief |= self.first <= self.awaited;
        self.first = through + 1;
        self.sent -= taken;
        self.note_room();
        Ok(())
    }

    fn note_progress(&mut self, partly_written: &[proto::Partial]) {
        for partial in partly_written {
            self.held.note_progress(partial);
        }
    }

    /// Takes out what was not written of a parcel that the peer rejected; `None` if that is nothing,
    /// or is known already.
    ///
    /// # Errors
    ///
    /// When it was never sent.
    pub(super) fn on_reject(
        &mut self,
        reject: &proto::Reject,
    ) -> Result<Option<Parcel>, Violation> {
        let seq = reject.seq;
        self.rejects_seen += 1;
        let rejected = if seq < self.first {
            self.held.take(seq)
        } else {
            self.take_sent(seq)?
        };
        let written = held::progress(reject.written_stanzas, reject.written_bytes);
        Ok(rejected.and_then(|parcel| held::rest(parcel, written)))
    }

    fn take_sent(&mut self, seq: u64) -> Result<Option<Parcel>, Violation> {
        let place = self.sent_place(seq)?;
        let taken = self.entries[place].take();
        self.rejected_through = self.rejected_through.max(seq);
        if let Some(parcel) = &taken {
            self.forget(parcel);
            self.note_room();
        }
        Ok(taken)
    }

    /// Goes on after a reconnect behind what the peer has taken last: the rest of what was sent is
    /// to be sent again, and what it does not hold any more has been written. Its rejects have been
    /// processed before.
    ///
    /// # Errors
    ///
    /// When the peer claims to have what was never sent, or to have lost what it had answered.
    pub(super) fn on_resume(&mut self, welcome: &proto::Welcome) -> Result<(), Violation> {
        let last_seq = welcome.last_seq;
        if last_seq < self.first - 1 || last_seq < self.rejected_through {
            return Err(self.violation(last_seq));
        }
        self.on_taken(last_seq)?;
        self.held.forget_all_but(&welcome.unwritten);
        self.note_progress(&welcome.partly_written);
        self.sent = 0;
        Ok(())
    }

    /// Gives up what was sent, up to a sequence number, and is not known to be written: nobody knows
    /// what became of it.
    pub(super) fn drain_sent(&mut self, through: u64) -> Vec<Parcel> {
        let mut drained = self.held.drain(through);
        let count = through.min(self.sent_through()) + 1;
        let count = usize::try_from(count.saturating_sub(self.first)).unwrap_or(self.sent);
        let not_taken: Vec<_> = self.entries.drain(..count).flatten().collect();
        self.relief |= self.first <= self.awaited;
        self.first += count as u64;
        self.sent -= count;
        self.forget_all(&not_taken);
        drained.extend(not_taken);
        drained
    }

    /// Leaves what the peer has taken to the peer.
    pub(super) fn forget_held(&mut self) {
        self.held = Held::default();
    }

    /// A new session begins: its rejects are counted from 0.
    pub(super) fn begin_session(&mut self) {
        self.rejects_seen = 0;
    }

    /// Gives up what the peer provably never had.
    pub(super) fn drain_unsent(&mut self) -> Vec<Parcel> {
        let drained: Vec<_> = self.entries.drain(self.sent..).flatten().collect();
        self.forget_all(&drained);
        drained
    }

    /// The receiver asks to hold back what is for `to`, or no longer does.
    pub(super) fn set_congested(&mut self, to: Destination, congested: bool) {
        self.relief |= self.flows.set_congested(to, congested);
    }

    /// Forgets such requests: they end with the stream.
    pub(super) fn clear_congestion(&mut self) {
        self.relief |= self.flows.clear_congestion();
    }

    /// How many rejects of this session have arrived.
    pub(super) fn rejects_seen(&self) -> u64 {
        self.rejects_seen
    }

    /// The highest sequence number sent and not taken back.
    pub(super) fn sent_through(&self) -> u64 {
        self.first + self.sent as u64 - 1
    }

    /// Nothing waits to be sent or acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Parcels and bytes that wait to be sent or acknowledged.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// Parcels and bytes that the peer has taken and not written.
    pub(super) fn held(&self) -> (usize, usize) {
        self.held.size()
    }

    /// Nothing is counted as under way.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.flows.is_empty()
    }

    /// Some parcels wait to be sent.
    #[cfg(test)]
    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.entries.len()
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.limits.bytes || self.entries.len() >= self.limits.parcels
    }

    /// Where the sent parcel `seq`, not below `first`, is in the queue.
    fn sent_place(&self, seq: u64) -> Result<usize, Violation> {
        usize::try_from(seq - self.first)
            .ok()
            .filter(|place| *place < self.sent)
            .ok_or_else(|| self.violation(seq))
    }

    fn violation(&self, seq: u64) -> Violation {
        Violation {
            seq,
            first: self.first,
            last: self.sent_through(),
        }
    }

    fn forget(&mut self, parcel: &Parcel) {
        let bytes = parcel.delivery.bytes.len();
        self.bytes -= bytes;
        self.relief |= self.flows.release(&parcel.to, bytes);
    }

    fn forget_all(&mut self, parcels: &[Parcel]) {
        for parcel in parcels {
            self.forget(parcel);
        }
        self.note_room();
    }

    fn note_room(&mut self) {
        let half_free =
            self.bytes <= self.limits.bytes / 2 && self.entries.len() <= self.limits.parcels / 2;
        if half_free && self.full {
            self.full = false;
            self.relief = true;
        }
    }
}
