use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Buf;

use crate::Delivery;
use crate::xml::{Framer, Limits};

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
    /// Bytes left to write.
    bytes: usize,
    /// Bytes of the first delivery that are written already.
    offset: usize,
}

/// What is left of a batch whose connection broke.
#[derive(Debug)]
pub(crate) struct Unwritten {
    /// Whole stanzas of the first delivery that had been written.
    pub(crate) written: u32,
    /// The rest, the stanza that was cut in half included.
    pub(crate) deliveries: Vec<Delivery>,
}

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
            self.deliveries.pop_front();
        }
        if self.deliveries.is_empty() {
            self.deliveries.shrink_to(IDLE_CAPACITY);
        }
        stanzas
    }

    /// Takes it apart when nothing more can be written (contract D1): a whole stanza that is out
    /// counts as delivered, the one that was cut in half does not.
    pub(crate) fn into_unwritten(mut self) -> Unwritten {
        let mut written = 0;
        if self.offset > 0
            && let Some(first) = self.deliveries.pop_front()
        {
            let cut = cut_behind(first, self.offset);
            written = cut.0;
            self.deliveries.push_front(cut.1);
        }
        Unwritten {
            written,
            deliveries: self.deliveries.into(),
        }
    }
}

/// Counts the stanzas of `delivery` that end within its first `written` bytes, and removes them.
fn cut_behind(mut delivery: Delivery, written: usize) -> (u32, Delivery) {
    let mut framer = Framer::for_stanzas(Limits::forwarded());
    let mut count = 0;
    let mut position = 0;
    let mut stanzas = Vec::with_capacity(1);
    // One after the other: the cold path of a broken connection. What does not frame, which no
    // accepted stanza does, counts as not written.
    while count < delivery.count {
        stanzas.clear();
        let progress = framer.read_elements(&delivery.bytes, 1, &mut stanzas);
        let Some(stanza) = stanzas.first() else {
            break;
        };
        let end = position + stanza.span.end as usize;
        if end > written {
            break;
        }
        delivery.bytes.advance(progress.consumed);
        position += progress.consumed;
        count += 1;
    }
    delivery.count -= count;
    (count, delivery)
}
