use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::source_network::SourceNetwork;

/// Failures of one source that are answered at once: somebody mistypes a secret, and tries again.
const FREE: u32 = 3;
/// What the first failure beyond these waits; each further one waits so much longer.
const STEP: Duration = Duration::from_millis(100);
/// The longest wait: well below the default `state_timeout`, which the wait is part of.
const LONGEST: Duration = Duration::from_secs(1);
/// A source is forgiven one failure in this time.
const FORGIVEN: Duration = Duration::from_secs(5);
/// Failures that are counted: whoever stops is forgiven all of them in a minute and a half.
const MOST: u32 = 18;
/// Sources that are remembered. What comes from others is counted together, as of one source: whoever
/// has many addresses gains nothing from them.
const SOURCES: usize = 4096;

/// How long each source waits for the answer to a failed handshake. Only failures wait: a component
/// behind the same address, a load balancer's perhaps, that knows its secret is not held up.
#[derive(Debug, Default)]
pub(crate) struct RefusalDelays {
    sources: HashMap<SourceNetwork, Failures>,
    others: Failures,
    pruned: Option<Instant>,
}

/// The recent failures of one source, as a bucket that leaks one per [`FORGIVEN`].
#[derive(Debug, Clone, Copy, Default)]
struct Failures {
    count: u32,
    /// As of when; moves on by whole steps of [`FORGIVEN`].
    since: Option<Instant>,
}

// === impl RefusalDelays ===

impl RefusalDelays {
    /// Counts a failure of `source`, and says how long its answer is to wait.
    pub(crate) fn fail(&mut self, source: SourceNetwork, now: Instant) -> Duration {
        self.prune(now);
        let is_known = self.sources.contains_key(&source);
        let failures = match is_known || self.sources.len() < SOURCES {
            true => self.sources.entry(source).or_default(),
            false => &mut self.others,
        };
        failures.add(now);
        STEP.saturating_mul(failures.count.saturating_sub(FREE))
            .min(LONGEST)
    }

    /// Forgets who has been forgiven, when the table is full and at most once per [`FORGIVEN`].
    fn prune(&mut self, now: Instant) {
        let is_due = |pruned| now.duration_since(pruned) >= FORGIVEN;
        if self.sources.len() >= SOURCES && self.pruned.is_none_or(is_due) {
            self.pruned = Some(now);
            self.sources.retain(|_, failures| {
                failures.forgive(now);
                failures.count > 0
            });
        }
    }
}

// === impl Failures ===

impl Failures {
    fn add(&mut self, now: Instant) {
        self.forgive(now);
        self.count = (self.count + 1).min(MOST);
    }

    fn forgive(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let steps = now.duration_since(since).as_millis() / FORGIVEN.as_millis();
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.count = self.count.saturating_sub(steps);
        self.since = match self.count {
            0 => Some(now),
            _ => since.checked_add(FORGIVEN.saturating_mul(steps)),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn source(number: u32) -> SourceNetwork {
        IpAddr::from(Ipv4Addr::from_bits(number)).into()
    }

    #[test]
    fn contract_s5_failures_of_one_source_are_answered_later_each_time() {
        let mut delays = RefusalDelays::default();
        let now = Instant::now();
        let waits: Vec<_> = (0..20).map(|_| delays.fail(source(1), now)).collect();
        assert!(waits[..FREE as usize].iter().all(Duration::is_zero));
        let growing = &waits[FREE as usize - 1..];
        assert!(
            growing
                .windows(2)
                .all(|pair| pair[0] < pair[1] || pair[1] == LONGEST)
        );
        assert_eq!(waits[19], LONGEST);
        assert_eq!(delays.fail(source(2), now), Duration::ZERO, "another one");
    }

    #[test]
    fn contract_s5_a_source_is_forgiven() {
        let mut delays = RefusalDelays::default();
        let now = Instant::now();
        for _ in 0..1000 {
            delays.fail(source(1), now);
        }
        let later = now + FORGIVEN * MOST;
        assert_eq!(delays.fail(source(1), later), Duration::ZERO);
        // A component with a wrong secret that tries again now and then never waits.
        for attempt in 1..1000 {
            let then = later + FORGIVEN * attempt;
            assert_eq!(delays.fail(source(1), then), Duration::ZERO);
        }
    }

    #[test]
    fn contract_s5_many_addresses_are_remembered_in_bounded_memory_and_gain_nothing() {
        let mut delays = RefusalDelays::default();
        let now = Instant::now();
        for number in 0..100_000 {
            delays.fail(source(number), now);
        }
        assert_eq!(delays.sources.len(), SOURCES);
        assert_eq!(delays.fail(source(200_000), now), LONGEST);
        assert_eq!(delays.fail(source(1), now), Duration::ZERO, "known already");
        let later = now + FORGIVEN * MOST;
        assert_eq!(delays.fail(source(300_000), later), Duration::ZERO);
        assert_eq!(delays.sources.len(), 1, "those are forgiven");
    }
}
