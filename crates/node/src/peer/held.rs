use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use bytes::Buf;
use switchyard_listener::{Compactor, Progress};

use super::{Parcel, proto};

/// Once so many bytes are held, small parcels are copied, so that memory is in proportion to what
/// is counted.
const COMPACT_FROM: usize = 64 * 1024;

/// Parcels that the peer has taken and has not written to their components yet, by sequence number:
/// should it die, this node answers them (contract D1).
///
/// They are outside of the window's limits, so that a slow component holds up nobody else. What
/// bounds them is the peer: it asks to hold back what is for an outbox above its soft limit.
#[derive(Debug, Default)]
pub(super) struct Held {
    parcels: BTreeMap<u64, Entry>,
    bytes: usize,
    compactor: Compactor,
}

#[derive(Debug)]
struct Entry {
    parcel: Parcel,
    /// So much of it has been written.
    progress: Progress,
}

impl Held {
    pub(super) fn insert(&mut self, seq: u64, mut parcel: Parcel) {
        if self.bytes >= COMPACT_FROM {
            parcel.delivery.bytes = self.compactor.compact(parcel.delivery.bytes);
        }
        self.bytes += parcel.delivery.bytes.len();
        let progress = Progress::default();
        self.parcels.insert(seq, Entry { parcel, progress });
    }

    /// Forgets what has been written.
    pub(super) fn forget(&mut self, written: RangeInclusive<u64>) {
        if written.is_empty() {
            return;
        }
        for (_, entry) in self.parcels.extract_if(written, |_, _| true) {
            self.bytes -= entry.parcel.delivery.bytes.len();
        }
        self.shrink();
    }

    /// Forgets everything but what is `unwritten`, ascending.
    pub(super) fn forget_all_but(&mut self, unwritten: &[proto::Range]) {
        let mut next = 0;
        for range in unwritten {
            if let Some(last) = range.first.checked_sub(1) {
                self.forget(next..=last);
            }
            next = range.last.saturating_add(1);
        }
        self.forget(next..=u64::MAX);
    }

    /// Notes how much of a parcel has been written; less than before is no news.
    pub(super) fn note_progress(&mut self, partial: &proto::Partial) {
        if let Some(entry) = self.parcels.get_mut(&partial.seq)
            && entry.progress.stanzas < partial.stanzas
        {
            entry.progress = progress(partial.stanzas, partial.bytes);
        }
    }

    /// Takes out a parcel; `None` if it is not held.
    pub(super) fn take(&mut self, seq: u64) -> Option<Parcel> {
        let entry = self.parcels.remove(&seq)?;
        self.bytes -= entry.parcel.delivery.bytes.len();
        self.shrink();
        Some(entry.parcel)
    }

    /// Takes out what is left of all parcels up to a sequence number.
    pub(super) fn drain(&mut self, through: u64) -> Vec<Parcel> {
        let drained: Vec<_> = self
            .parcels
            .extract_if(..=through, |_, _| true)
            .map(|(_, entry)| entry)
            .collect();
        let bytes = drained
            .iter()
            .map(|entry| entry.parcel.delivery.bytes.len());
        self.bytes -= bytes.sum::<usize>();
        self.shrink();
        drained.into_iter().filter_map(Entry::rest).collect()
    }

    /// Parcels and bytes held.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.parcels.len(), self.bytes)
    }

    fn shrink(&mut self) {
        if self.parcels.is_empty() {
            self.compactor.shrink();
        }
    }
}

impl Entry {
    fn rest(self) -> Option<Parcel> {
        rest(self.parcel, self.progress)
    }
}

/// What has not been written of a parcel; `None` if that is nothing.
pub(super) fn rest(mut parcel: Parcel, written: Progress) -> Option<Parcel> {
    let delivery = &mut parcel.delivery;
    if written.bytes >= delivery.bytes.len() || written.stanzas >= delivery.count {
        return None;
    }
    delivery.bytes.advance(written.bytes);
    delivery.count -= written.stanzas;
    Some(parcel)
}

/// As it comes off the wire.
pub(super) fn progress(stanzas: u32, bytes: u64) -> Progress {
    Progress {
        stanzas,
        bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
    }
}
