use std::time::Duration;

use tokio::time::Instant;

/// Says what a long wait is for, now and then.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    since: Instant,
    reported: Instant,
    /// Time from one line to the next; grows.
    every: Duration,
    /// A line that comes later is a warning.
    usual: Duration,
}

/// How urgent a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Urgency {
    /// Starts take this long.
    Usual,
    /// Somebody has to look into it. MongooseIM's default `loglevel` shows only this.
    Warning,
}

const AT_FIRST: Duration = Duration::from_secs(2);
const AT_LAST: Duration = Duration::from_secs(60);
/// A wait that is longer is not one for nodes that are just starting.
const USUAL: Duration = Duration::from_secs(30);

impl Progress {
    /// Starts to wait for `what`, which may come by itself: a warning once it takes unusually long.
    pub(crate) fn new(what: &'static str) -> Self {
        Self::since(what, USUAL, Instant::now())
    }

    /// Starts to wait for the end of `what`, which does not come by itself: a warning at once.
    pub(crate) fn of_refusal(what: &'static str) -> Self {
        Self::since(what, Duration::ZERO, Instant::now())
    }

    fn since(what: &'static str, usual: Duration, now: Instant) -> Self {
        Self {
            what,
            since: now,
            reported: now,
            every: AT_FIRST,
            usual,
        }
    }

    /// Logs why the wait is not over, unless that was done a moment ago.
    pub(crate) fn report(&mut self, reason: &str) {
        let now = Instant::now();
        let seconds = now.duration_since(self.since).as_secs();
        match self.next_line(now) {
            None => {}
            Some(Urgency::Usual) => tracing::info!(reason, seconds, "{}", self.what),
            Some(Urgency::Warning) => tracing::warn!(reason, seconds, "{}", self.what),
        }
    }

    /// Whether it is time for a line, and for which.
    fn next_line(&mut self, now: Instant) -> Option<Urgency> {
        if now.duration_since(self.reported) < self.every {
            return None;
        }
        self.reported = now;
        self.every = AT_LAST.min(self.every * 3 / 2);
        match now.duration_since(self.since) < self.usual {
            true => Some(Urgency::Usual),
            false => Some(Urgency::Warning),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of ten minutes in which there is something to report every half second: when each
    /// came, in seconds, and how urgent it was.
    fn lines(usual: Duration) -> Vec<(f64, Urgency)> {
        let start = Instant::now();
        let mut progress = Progress::since("Waiting", usual, start);
        let halves = (1..1200).map(|half| Duration::from_millis(500) * half);
        let lines = halves.filter_map(|waited| {
            let urgency = progress.next_line(start + waited)?;
            Some((waited.as_secs_f64(), urgency))
        });
        lines.collect()
    }

    #[test]
    fn a_wait_becomes_a_warning_once_it_takes_long() {
        for (seconds, urgency) in lines(USUAL) {
            let expected = match seconds < 30.0 {
                true => Urgency::Usual,
                false => Urgency::Warning,
            };
            assert_eq!(urgency, expected, "after {seconds} s");
        }
    }

    #[test]
    fn a_refusal_is_a_warning_at_once() {
        let lines = lines(Duration::ZERO);
        assert_eq!(lines.first(), Some(&(2.0, Urgency::Warning)));
        assert!(
            lines
                .iter()
                .all(|(_, urgency)| *urgency == Urgency::Warning)
        );
    }

    #[test]
    fn lines_become_rare() {
        assert!(lines(USUAL).len() < 20);
    }
}
