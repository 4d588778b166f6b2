use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// What became of the configurations that the node was given.
#[derive(Debug)]
pub(super) struct ReloadCounters {
    applied: AtomicU64,
    refused: AtomicU64,
    /// Unix time, in seconds, at which the present configuration was read.
    last_success: AtomicU64,
}

// === impl ReloadCounters ===

impl Default for ReloadCounters {
    fn default() -> Self {
        Self {
            applied: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            last_success: AtomicU64::new(unix_time()),
        }
    }
}

impl ReloadCounters {
    pub(super) fn applied(&self) {
        self.applied.fetch_add(1, Ordering::Relaxed);
        self.last_success.store(unix_time(), Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Reloads by their outcome.
    pub(super) fn by_outcome(&self) -> Vec<(String, u64)> {
        let count =
            |name: &str, count: &AtomicU64| (name.to_owned(), count.load(Ordering::Relaxed));
        vec![
            count("applied", &self.applied),
            count("refused", &self.refused),
        ]
    }

    /// Unix time of the last that was applied, or of the start.
    pub(super) fn last_success(&self) -> u64 {
        self.last_success.load(Ordering::Relaxed)
    }
}

fn unix_time() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |time| time.as_secs())
}
