use std::time::Duration;

use super::place::Place;
use super::shared::Generation;

/// Destinations that a connection remembers; the least recently found makes room.
const REMEMBERED: usize = 16;

/// The last few destinations of a connection, by their domain as written: saves preparing the
/// domain and asking the tables for every run of stanzas.
#[derive(Debug, Default)]
pub(super) struct PlaceCache {
    /// Most recently found first.
    entries: Vec<Entry>,
    /// Some entry has lost patience.
    impatient: bool,
}

#[derive(Debug)]
struct Entry {
    to: Box<[u8]>,
    generation: Generation,
    place: Place,
    /// The destination was full for longer than its senders' patience: until it takes something,
    /// nobody waits for it again.
    patience_lost: bool,
}

impl PlaceCache {
    /// What is remembered of `to`, if nothing has changed since.
    pub(super) fn get(&mut self, to: &[u8], generation: Generation) -> Option<&Place> {
        let found = self.entries.iter().position(|entry| *entry.to == *to)?;
        if found > 0 {
            self.entries.swap(0, found);
        }
        let entry = self.entries.first()?;
        (entry.generation == generation).then_some(&entry.place)
    }

    /// Where stanzas for `to` went last, as far as that is remembered.
    pub(super) fn former(&self, to: &[u8]) -> Option<&Place> {
        let entry = self.entries.iter().find(|entry| *entry.to == *to)?;
        Some(&entry.place)
    }

    /// Remembers where stanzas for `to` go.
    pub(super) fn put(&mut self, to: &[u8], generation: Generation, place: &Place) {
        let patience_lost = self.take(to).is_some_and(|old| old.patience_lost);
        self.entries.truncate(REMEMBERED - 1);
        let entry = Entry {
            to: to.into(),
            generation,
            place: place.clone(),
            patience_lost,
        };
        self.entries.insert(0, entry);
    }

    /// Forgets `to`.
    pub(super) fn forget(&mut self, to: &[u8]) {
        self.take(to);
    }

    /// How long to wait for room at `to`.
    pub(super) fn patience(&self, to: &[u8], usual: Duration) -> Duration {
        let lost = self
            .entries
            .iter()
            .any(|entry| *entry.to == *to && entry.patience_lost);
        if lost { Duration::ZERO } else { usual }
    }

    /// Notes that waiting for room at `to` was in vain.
    pub(super) fn lose_patience(&mut self, to: &[u8]) {
        self.impatient = true;
        self.set_patience_lost(to, true);
    }

    /// Notes that `to` takes stanzas again.
    pub(super) fn regain_patience(&mut self, to: &[u8]) {
        if self.impatient {
            self.set_patience_lost(to, false);
            self.impatient = self.entries.iter().any(|entry| entry.patience_lost);
        }
    }

    fn set_patience_lost(&mut self, to: &[u8], lost: bool) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| *entry.to == *to) {
            entry.patience_lost = lost;
        }
    }

    fn take(&mut self, to: &[u8]) -> Option<Entry> {
        let found = self.entries.iter().position(|entry| *entry.to == *to)?;
        Some(self.entries.remove(found))
    }
}
