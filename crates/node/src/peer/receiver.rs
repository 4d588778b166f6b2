use std::sync::Arc;

use bytes::Bytes;
use switchyard_listener::{Consignor, Delivery, Receipt};
use switchyard_registry::Incarnation;

use super::local_delivery::Outcome;
use super::settlements::{Report, Settlements};
use super::{Destination, batch, proto};

/// A parcel smaller than the batch it came in by this factor is copied out of it, so that a slow
/// component's outbox cannot keep much more memory alive than it counts.
const MAX_PINNED_FACTOR: usize = 16;

/// What this node has taken of one sender: each parcel of a sequence once, in order, over any number
/// of streams (contract D1, D2). What becomes of them is in its [`Settlements`].
pub(super) struct Receiver {
    sequence: Sequence,
    stream: StreamId,
    /// Of parcels up to this one nothing is known. The sender may need to be told more than once.
    known_after: u64,
    last_seq: u64,
    settlements: Arc<Settlements>,
}

/// Which numbering a sequence number belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    /// The sender's process.
    pub(super) process: u64,
    /// Which of its sequences.
    pub(super) session: u64,
}

/// A stream that a sender opened. Of two, the greater was opened later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId {
    pub(super) incarnation: Incarnation,
    pub(super) attempt: u64,
}

/// Why a batch was not processed to its end, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReceiveError {
    #[error("parcel {got} came where {expected} was due")]
    Gap { expected: u64, got: u64 },
    #[error("a destination is not a prepared domain")]
    MalformedDestination,
    #[error("a later stream of the same sender is being served")]
    Superseded,
    #[error("a parcel names a destination that its batch does not have")]
    UnknownDestination,
}

/// What the sender is told about a batch.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Destinations whose outboxes are above their soft limits; may repeat.
    pub(super) congested: Vec<Destination>,
}

impl Receiver {
    /// The state for a sender of whom nothing is known; `settlements` are new.
    pub(super) fn new(
        hello: &proto::Hello,
        sequence: Sequence,
        stream: StreamId,
        settlements: Arc<Settlements>,
    ) -> Self {
        Self {
            sequence,
            stream,
            known_after: hello.sent_through,
            last_seq: hello.sent_through,
            settlements,
        }
    }

    /// Goes on with a new stream, which fences all earlier ones. `settlements` are for a new
    /// sequence, if it begins one.
    ///
    /// # Errors
    ///
    /// When a later stream was opened before.
    pub(super) fn open(
        &mut self,
        hello: &proto::Hello,
        sequence: Sequence,
        stream: StreamId,
        settlements: impl FnOnce() -> Arc<Settlements>,
    ) -> Result<(), ReceiveError> {
        if stream <= self.stream {
            return Err(ReceiveError::Superseded);
        }
        if sequence == self.sequence {
            self.stream = stream;
            self.settlements.reopen(stream, hello.rejects_seen);
            return Ok(());
        }
        if sequence.process == self.sequence.process {
            // It has answered whatever it had not heard of.
            self.settlements.void();
        } else {
            self.settlements.sender_gone();
        }
        *self = Self::new(hello, sequence, stream, settlements());
        Ok(())
    }

    /// What became of parcels up to this one is not known.
    pub(super) fn known_after(&self) -> u64 {
        self.known_after
    }

    /// The parcel processed last.
    pub(super) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The latest life in which the sender opened a stream.
    pub(super) fn incarnation(&self) -> Incarnation {
        self.stream.incarnation
    }

    /// What becomes of the parcels of the present sequence.
    pub(super) fn settlements(&self) -> &Arc<Settlements> {
        &self.settlements
    }

    /// What `stream` has not been told yet, and the parcel processed last.
    ///
    /// # Errors
    ///
    /// When a later stream has taken over.
    pub(super) fn report(&self, stream: StreamId) -> Result<(Report, u64), ReceiveError> {
        let report = self.settlements.report(stream)?;
        Ok((report, self.last_seq))
    }

    /// Delivers what is new in a batch that came over `stream`.
    ///
    /// # Errors
    ///
    /// When a later stream has taken over, or the batch breaks the protocol: the parcels before the
    /// offending one have been processed.
    pub(super) fn receive(
        &mut self,
        stream: StreamId,
        batch: proto::Batch,
        mut deliver: impl FnMut(&Destination, Delivery) -> Outcome,
    ) -> Result<Answer, ReceiveError> {
        if stream != self.stream {
            return Err(ReceiveError::Superseded);
        }
        let expected = self.last_seq + 1;
        if batch.first_seq > expected {
            let got = batch.first_seq;
            return Err(ReceiveError::Gap { expected, got });
        }
        self.settlements.confirm_rejects(batch.rejects_seen);
        let destinations = decode_destinations(&batch)?;
        let small = batch_bytes(&batch) / MAX_PINNED_FACTOR;
        let mut answer = Answer::default();
        let end = batch.first_seq.saturating_add(batch.parcels.len() as u64);
        // Before they are delivered: a writer may be done with one at once.
        self.settlements.expect(expected..=end.saturating_sub(1));
        for (seq, parcel) in (batch.first_seq..).zip(batch.parcels) {
            if seq <= self.last_seq {
                continue;
            }
            let to = usize::try_from(parcel.destination)
                .ok()
                .and_then(|index| destinations.get(index));
            let Some(to) = to else {
                self.settlements.expect_none_behind(self.last_seq);
                return Err(ReceiveError::UnknownDestination);
            };
            let consignor = Arc::clone(&self.settlements) as Arc<dyn Consignor>;
            let receipt = Receipt::new(consignor, seq);
            let outcome = deliver(to, delivery(parcel, small, receipt));
            self.last_seq = seq;
            self.note(seq, to, outcome, &mut answer);
        }
        Ok(answer)
    }

    fn note(&self, seq: u64, to: &Destination, outcome: Outcome, answer: &mut Answer) {
        let reason = match outcome {
            Outcome::Accepted => return,
            Outcome::Congested => {
                if answer.congested.last() != Some(to) {
                    answer.congested.push(to.clone());
                }
                return;
            }
            Outcome::Denied => proto::reject::Reason::Denied,
            Outcome::NotHere => proto::reject::Reason::NotHere,
            Outcome::Overloaded => proto::reject::Reason::Overloaded,
        };
        self.settlements.reject(seq, reason);
    }
}

fn decode_destinations(batch: &proto::Batch) -> Result<Vec<Destination>, ReceiveError> {
    batch
        .destinations
        .iter()
        .map(batch::decode_destination)
        .collect::<Option<_>>()
        .ok_or(ReceiveError::MalformedDestination)
}

fn batch_bytes(batch: &proto::Batch) -> usize {
    batch
        .parcels
        .iter()
        .map(|parcel| parcel.stanzas.len())
        .sum()
}

fn delivery(parcel: proto::Parcel, small: usize, receipt: Receipt) -> Delivery {
    let bytes = if parcel.stanzas.len() < small {
        Bytes::copy_from_slice(&parcel.stanzas)
    } else {
        parcel.stanzas
    };
    Delivery {
        bytes,
        count: parcel.count,
        origin: None,
        receipt: Some(receipt),
    }
}
