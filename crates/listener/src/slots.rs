use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many connections a listener has. Bounds them exactly (contract L, `max_connections`), as long
/// as one task alone takes slots.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    used: AtomicUsize,
    changed: Notify,
}

/// The place of one connection, free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Slots>);

// === impl Slots ===

impl Slots {
    /// Takes a slot.
    pub(crate) fn take(self: &Arc<Self>) -> Slot {
        self.used.fetch_add(1, Ordering::AcqRel);
        Slot(Arc::clone(self))
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    /// Waits for a slot to become free.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

// === impl Slot ===

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}
