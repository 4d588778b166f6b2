use std::fmt::{self, Write};
use std::time::Duration;

use tokio::time::Instant;

/// The time in which a bounded number of lines is written, and then at most one summary.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// Bounds the lines that log one kind of event: however often it happens, no more than `burst`
/// lines and one summary of the rest per [`INTERVAL`].
#[derive(Debug)]
pub(super) struct EventLimit {
    burst: u32,
    /// Lines since `started`.
    lines: u32,
    started: Option<Instant>,
    suppressed: u64,
    /// The last event that was suppressed; its memory is reused.
    example: String,
}

/// Events without a line of their own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suppressed {
    pub(super) count: u64,
    /// The last of them.
    pub(super) example: String,
}

// === impl EventLimit ===

impl EventLimit {
    /// `burst` lines per [`INTERVAL`], at least one.
    pub(super) const fn new(burst: u32) -> Self {
        Self {
            burst,
            lines: 0,
            started: None,
            suppressed: 0,
            example: String::new(),
        }
    }

    /// Whether `event` gets a line now. If not, a summary will count it.
    pub(super) fn admit(&mut self, now: Instant, event: &impl fmt::Display) -> bool {
        if self.is_over(now) {
            self.started = Some(now);
            self.lines = 0;
        }
        if self.lines < self.burst {
            self.lines += 1;
            return true;
        }
        self.suppressed += 1;
        self.example.clear();
        // Into a string that cannot fail.
        let _ = write!(self.example, "{event}");
        false
    }

    /// What has been suppressed, once the interval is over.
    pub(super) fn summary(&mut self, now: Instant) -> Option<Suppressed> {
        self.is_over(now).then(|| self.take()).flatten()
    }

    /// What has been suppressed so far.
    pub(super) fn take(&mut self) -> Option<Suppressed> {
        let count = std::mem::take(&mut self.suppressed);
        let example = std::mem::take(&mut self.example);
        (count > 0).then_some(Suppressed { count, example })
    }

    fn is_over(&self, now: Instant) -> bool {
        self.started
            .is_none_or(|started| now.duration_since(started) >= INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_a_few_lines_and_one_summary_per_interval() {
        let mut limit = EventLimit::new(3);
        let start = Instant::now();
        let mut lines = 0;
        let mut counted = 0;
        let mut summaries = 0;
        for millisecond in 0..60_000 {
            let now = start + Duration::from_millis(millisecond);
            lines += u64::from(limit.admit(now, &millisecond));
            if millisecond % 500 == 0
                && let Some(summary) = limit.summary(now)
            {
                summaries += 1;
                counted += summary.count;
            }
        }
        counted += limit.take().unwrap().count;
        assert_eq!(lines, 6 * 3);
        assert!(summaries <= 6, "{summaries}");
        assert_eq!(lines + counted, 60_000, "no event is forgotten");
    }

    #[test]
    fn the_first_events_are_said_at_once_and_the_last_is_the_example() {
        let mut limit = EventLimit::new(2);
        let now = Instant::now();
        assert_eq!(limit.summary(now), None);
        assert!(limit.admit(now, &"first"));
        assert!(limit.admit(now, &"second"));
        assert!(!limit.admit(now, &"third"));
        assert!(!limit.admit(now, &"fourth"));
        assert_eq!(limit.summary(now), None, "not yet");
        let summary = limit.summary(now + INTERVAL).unwrap();
        assert_eq!((summary.count, summary.example.as_str()), (2, "fourth"));
        assert_eq!(limit.summary(now + INTERVAL), None, "said");
        assert!(limit.admit(now + INTERVAL, &"later"));
    }
}
