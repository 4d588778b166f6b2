use std::fmt;
use std::sync::Arc;

/// How much of a delivery has been written to its component, in whole stanzas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// How many stanzas.
    pub stanzas: u32,
    /// Their bytes.
    pub bytes: usize,
}

/// Who sent deliveries here from afar, keeps them until they are written, and answers for those
/// that are not (contract D1). Implemented by the node.
///
/// Each delivery has a number, and ends with exactly one call of [`Self::written`] or
/// [`Self::lost`] for it.
pub trait Consignor: Send + Sync + 'static {
    /// Whether its deliveries may still be written. Once this is false the consignor may have
    /// answered them. Asked before every write.
    fn may_write(&self) -> bool;

    /// Every byte of the delivery was handed to the component's socket.
    fn written(&self, number: u64);

    /// So much of the delivery was handed to the component's socket; the rest waits, or is about
    /// to be lost.
    fn partly_written(&self, number: u64, progress: Progress);

    /// Nothing more of the delivery will be written. True if the consignor answers for the rest of
    /// it, false if that is left to this node.
    fn lost(&self, number: u64) -> bool;
}

/// Tells a [`Consignor`] what became of one delivery. Dropped unused, as by a task that panicked, it
/// says that the delivery was lost.
pub struct Receipt {
    /// `None` once it has been used.
    consignor: Option<Arc<dyn Consignor>>,
    number: u64,
}

// === impl Receipt ===

impl Receipt {
    /// The receipt for delivery `number` of `consignor`.
    #[must_use]
    pub fn new(consignor: Arc<dyn Consignor>, number: u64) -> Self {
        Self {
            consignor: Some(consignor),
            number,
        }
    }

    /// The delivery was written.
    pub fn written(mut self) {
        if let Some(consignor) = self.consignor.take() {
            consignor.written(self.number);
        }
    }

    /// The delivery will not be written, or not to its end. True if the consignor answers for it.
    #[must_use]
    pub fn lost(mut self) -> bool {
        let consignor = self.consignor.take();
        consignor.is_some_and(|consignor| consignor.lost(self.number))
    }

    /// The delivery was refused, which the consignor learns in another way.
    pub(crate) fn withhold(mut self) {
        self.consignor = None;
    }

    /// So much of the delivery was written.
    pub fn partly_written(&self, progress: Progress) {
        if let Some(consignor) = &self.consignor {
            consignor.partly_written(self.number, progress);
        }
    }

    /// Who is told; `None` once it has been.
    #[must_use]
    pub fn consignor(&self) -> Option<&Arc<dyn Consignor>> {
        self.consignor.as_ref()
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(consignor) = self.consignor.take() {
            consignor.lost(self.number);
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receipt").field(&self.number).finish()
    }
}
