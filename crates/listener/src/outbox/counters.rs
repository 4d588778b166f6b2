use std::sync::atomic::{AtomicU64, Ordering};

/// What has been written from one outbox to its component.
#[derive(Debug, Default)]
pub struct OutboxCounters {
    stanzas: AtomicU64,
    bytes: AtomicU64,
}

impl OutboxCounters {
    /// Whole stanzas written.
    #[must_use]
    pub fn stanzas(&self) -> u64 {
        self.stanzas.load(Ordering::Relaxed)
    }

    /// Bytes written, those of a stanza cut in half included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, stanzas: u64, bytes: u64) {
        self.stanzas.fetch_add(stanzas, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
