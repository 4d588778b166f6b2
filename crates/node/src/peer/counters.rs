use std::sync::atomic::{AtomicU64, Ordering};

use super::{Parcel, ReturnReason, proto};

/// What all links of this node have carried.
#[derive(Debug, Default)]
pub(crate) struct LinkCounters {
    opened: AtomicU64,
    sent: Traffic,
    received: Traffic,
    returned: [AtomicU64; ReturnReason::ALL.len()],
}

/// Stanzas and their bytes.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    stanzas: AtomicU64,
    bytes: AtomicU64,
}

impl LinkCounters {
    /// How often a link to a peer was opened.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// What was sent to peers, repetitions included.
    pub(crate) fn sent(&self) -> &Traffic {
        &self.sent
    }

    /// What came from peers, repetitions included.
    pub(crate) fn received(&self) -> &Traffic {
        &self.received
    }

    /// Stanzas that came back for `reason`.
    pub(crate) fn returned(&self, reason: ReturnReason) -> u64 {
        self.returned[reason as usize].load(Ordering::Relaxed)
    }

    pub(super) fn count_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_sent(&self, batch: &proto::Batch) {
        self.sent.count(batch);
    }

    pub(super) fn count_received(&self, batch: &proto::Batch) {
        self.received.count(batch);
    }

    pub(super) fn count_returned(&self, parcels: &[Parcel], reason: ReturnReason) {
        let stanzas = parcels
            .iter()
            .map(|parcel| u64::from(parcel.delivery.count));
        self.returned[reason as usize].fetch_add(stanzas.sum(), Ordering::Relaxed);
    }
}

impl Traffic {
    /// How many stanzas.
    pub(crate) fn stanzas(&self) -> u64 {
        self.stanzas.load(Ordering::Relaxed)
    }

    /// How many bytes of stanzas.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn count(&self, batch: &proto::Batch) {
        let (mut stanzas, mut bytes) = (0, 0);
        for parcel in &batch.parcels {
            stanzas += u64::from(parcel.count);
            bytes += parcel.stanzas.len() as u64;
        }
        self.stanzas.fetch_add(stanzas, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
