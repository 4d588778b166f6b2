use std::sync::atomic::{AtomicU32, Ordering};

/// Who is to see to it that the table has a registration again: one task at a time, which begins
/// anew if it was asked for meanwhile. What it had looked at may have changed since.
#[derive(Debug, Default)]
pub(crate) struct Restoring(AtomicU32);

impl Restoring {
    /// Asks for it. True: the asker is to do it, and nobody else does.
    pub(crate) fn ask(&self) -> bool {
        self.0.fetch_add(1, Ordering::AcqRel) == 0
    }

    /// How often it was asked for, to be given to [`Self::is_over`] afterwards.
    pub(crate) fn asked(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// True if nobody has asked since; the next who does is to do it.
    pub(crate) fn is_over(&self, asked: u32) -> bool {
        self.0
            .compare_exchange(asked, 0, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_while_it_is_done_has_it_done_once_more() {
        let restoring = Restoring::default();
        assert!(restoring.ask());
        let asked = restoring.asked();
        assert!(!restoring.ask(), "it is being done");
        assert!(!restoring.is_over(asked), "too early to tell");
        assert!(restoring.is_over(restoring.asked()));
        assert!(restoring.ask());
    }
}
