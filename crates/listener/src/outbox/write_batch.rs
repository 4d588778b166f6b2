use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::Buf;

use crate::xml::{Framer, Limits};
use crate::{Consignor, Delivery, Progress, Receipt};

/// As many slices as one vectored write takes (`IOV_MAX` on Linux).
pub(crate) const MAX_SLICES: usize = 1024;
/// A batch takes no further delivery beyond this many bytes.
const MAX_BYTES: usize = 256 * 1024;
/// An empty batch keeps room for no more than so many deliveries.
const IDLE_CAPACITY: usize = 16;

/// What the writer of an outbox has taken from it and not yet written completely.
#[derive(Debug, Default)]
pub(crate) struct WriteBatch {
    deliveries: VecDeque<Delivery>,
    /// How many of them have a receipt.
    receipts: usize,
    /// Bytes left to write.
    bytes: usize,
    /// Bytes of the first delivery that are written already.
    offset: usize,
    /// The whole stanzas in these, as far as somebody has looked.
    progress: Progress,
    /// Of deliveries that are written, but perhaps not handed to the system yet.
    unconfirmed: Vec<Receipt>,
}

/// What is left of a batch whose connection broke.
#[derive(Debug)]
pub(crate) struct Unwritten {
    /// Whole stanzas of the first delivery that had been written.
    pub(crate) written: u32,
    /// The rest, the stanza that was cut in half included.
    pub(crate) deliveries: Vec<Delivery>,
}

/// A delivery may no longer be written, of which half a stanza has been written.
#[derive(Debug, thiserror::Error)]
#[error("the stanza that is being written has been answered by the node that sent it")]
pub(crate) struct Revoked;

// === impl WriteBatch ===

impl WriteBatch {
    pub(crate) fn is_empty(&self) -> bool {
        self.deliveries.is_empty()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.bytes < MAX_BYTES && self.deliveries.len() < MAX_SLICES
    }

    /// True when what was written so far ends with a whole delivery.
    pub(crate) fn is_at_boundary(&self) -> bool {
        self.offset == 0
    }

    pub(crate) fn push(&mut self, delivery: Delivery) {
        self.bytes += delivery.bytes.len();
        self.receipts += usize::from(delivery.receipt.is_some());
        self.deliveries.push_back(delivery);
    }

    /// How many slices [`Self::slices`] can fill.
    pub(crate) fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// Fills `slices` with what comes next; returns how many it filled.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut offset = self.offset;
        let mut filled = 0;
        for (slice, delivery) in slices.iter_mut().zip(&self.deliveries) {
            *slice = IoSlice::new(&delivery.bytes[offset..]);
            offset = 0;
            filled += 1;
        }
        filled
    }

    /// Notes that `written` more bytes are out; returns how many stanzas the deliveries held that
    /// are complete by that.
    pub(crate) fn advance(&mut self, written: usize) -> u64 {
        debug_assert!(written <= self.bytes, "more was written than there was");
        self.bytes -= written;
        self.offset += written;
        let mut stanzas = 0;
        while let Some(first) = self.deliveries.front()
            && self.offset >= first.bytes.len()
        {
            self.offset -= first.bytes.len();
            stanzas += u64::from(first.count);
            let receipt = self.remove_first().and_then(|first| first.receipt);
            self.unconfirmed.extend(receipt);
        }
        if self.deliveries.is_empty() {
            self.deliveries.shrink_to(IDLE_CAPACITY);
        }
        stanzas
    }

    /// The system has all bytes that are out.
    pub(crate) fn confirm(&mut self) {
        for receipt in self.unconfirmed.drain(..) {
            receipt.written();
        }
        self.unconfirmed.shrink_to(IDLE_CAPACITY);
    }

    /// Tells the consignor of the first delivery how much of it is written, if the socket takes no
    /// more now: should this node be killed, that much has been delivered.
    pub(crate) fn note_progress(&mut self) {
        let Some(first) = self.deliveries.front() else {
            return;
        };
        if self.offset == 0 || first.receipt.is_none() {
            return;
        }
        let before = self.progress;
        self.progress = advance_behind(before, first, self.offset);
        if let Some(receipt) = &first.receipt
            && self.progress != before
        {
            receipt.partly_written(self.progress);
        }
    }

    /// Takes out the deliveries that may no longer be written, because their consignor has answered
    /// them. `is_buffered`: what is out may not have been handed to the system.
    ///
    /// # Errors
    ///
    /// When half a stanza of one has been written, or some of it is in a buffer: nothing can follow
    /// on this stream.
    pub(crate) fn revoke(&mut self, is_buffered: bool) -> Result<(), Revoked> {
        if self.receipts == 0 && self.unconfirmed.is_empty() {
            return Ok(());
        }
        let mut judge = Judge::default();
        let mut unconfirmed = self.unconfirmed.iter();
        if !unconfirmed.all(|receipt| judge.may_use(Some(receipt))) {
            return Err(Revoked);
        }
        if self
            .deliveries
            .iter()
            .all(|delivery| judge.may_write(delivery))
        {
            return Ok(());
        }
        if let Some(first) = self.deliveries.front()
            && self.offset > 0
            && !judge.may_write(first)
        {
            self.note_progress();
            if is_buffered || self.offset != self.progress.bytes {
                return Err(Revoked);
            }
            self.remove_first();
            self.offset = 0;
        }
        self.deliveries.retain(|delivery| judge.may_write(delivery));
        let left = self.deliveries.iter();
        self.bytes = left
            .clone()
            .map(|delivery| delivery.bytes.len())
            .sum::<usize>()
            - self.offset;
        self.receipts = left.filter(|delivery| delivery.receipt.is_some()).count();
        Ok(())
    }

    /// Takes it apart when nothing more can be written (contract D1): a whole stanza that is out
    /// counts as delivered, the one that was cut in half does not.
    pub(crate) fn into_unwritten(mut self) -> Unwritten {
        self.confirm();
        self.note_progress();
        let mut written = 0;
        if self.offset > 0
            && let Some(first) = self.deliveries.front_mut()
        {
            let progress = advance_behind(self.progress, first, self.offset);
            written = progress.stanzas;
            first.bytes.advance(progress.bytes);
            first.count -= progress.stanzas;
        }
        Unwritten {
            written,
            deliveries: self.deliveries.into(),
        }
    }

    fn remove_first(&mut self) -> Option<Delivery> {
        let first = self.deliveries.pop_front()?;
        self.receipts -= usize::from(first.receipt.is_some());
        self.progress = Progress::default();
        Some(first)
    }
}

/// Asks consignors whether their deliveries may be written; of neighbours, which mostly have one in
/// common, once.
#[derive(Default)]
struct Judge {
    last: Option<(Arc<dyn Consignor>, bool)>,
}

impl Judge {
    fn may_write(&mut self, delivery: &Delivery) -> bool {
        self.may_use(delivery.receipt.as_ref())
    }

    fn may_use(&mut self, receipt: Option<&Receipt>) -> bool {
        let Some(consignor) = receipt.and_then(Receipt::consignor) else {
            return true;
        };
        if let Some((last, may_write)) = &self.last
            && Arc::ptr_eq(last, consignor)
        {
            return *may_write;
        }
        let may_write = consignor.may_write();
        self.last = Some((Arc::clone(consignor), may_write));
        may_write
    }
}

/// The stanzas of `delivery` that end within its first `written` bytes; those in `progress` are
/// known to.
fn advance_behind(mut progress: Progress, delivery: &Delivery, written: usize) -> Progress {
    let mut framer = Framer::for_stanzas(Limits::forwarded());
    let mut stanzas = Vec::with_capacity(1);
    // One after the other: the cold path of a full socket or a broken connection. What does not
    // frame, which no accepted stanza does, counts as not written.
    while progress.stanzas < delivery.count {
        stanzas.clear();
        let rest = delivery.bytes.get(progress.bytes..).unwrap_or_default();
        let read = framer.read_elements(rest, 1, &mut stanzas);
        let Some(stanza) = stanzas.first() else {
            break;
        };
        if progress.bytes + stanza.span.end as usize > written {
            break;
        }
        progress.bytes += read.consumed;
        progress.stanzas += 1;
    }
    progress
}
