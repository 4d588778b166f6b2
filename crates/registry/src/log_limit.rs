use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Keeps a log line that anybody on the network can cause to one in a while.
#[derive(Debug, Default)]
pub struct LogLimit {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

const EVERY: Duration = Duration::from_secs(10);

impl LogLimit {
    /// Whether to write the line now, and how many were not written since the last one.
    #[must_use]
    pub fn admit(&self) -> Option<u64> {
        let mut state = self.state.lock();
        if state.last.is_some_and(|last| last.elapsed() < EVERY) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(Instant::now());
        Some(std::mem::take(&mut state.suppressed))
    }
}
