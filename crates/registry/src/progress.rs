use std::time::Duration;

use tokio::time::Instant;

/// Says what a long wait is for, now and then.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    since: Instant,
    reported: Instant,
}

const EVERY: Duration = Duration::from_secs(2);

impl Progress {
    /// Starts to wait for `what`.
    pub(crate) fn new(what: &'static str) -> Self {
        let now = Instant::now();
        Self {
            what,
            since: now,
            reported: now,
        }
    }

    /// Logs why the wait is not over, unless that was done a moment ago.
    pub(crate) fn report(&mut self, reason: &str) {
        if self.reported.elapsed() < EVERY {
            return;
        }
        self.reported = Instant::now();
        let seconds = self.since.elapsed().as_secs();
        tracing::info!(reason, seconds, "{}", self.what);
    }
}
