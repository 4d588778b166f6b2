use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Until when the cluster has promised not to give this node up: read on every delivery from a
/// peer, so one atomic. Clones are of the same lease.
///
/// Its clock goes on while the process is stopped.
#[derive(Debug, Clone)]
pub(crate) struct OwnLease {
    epoch: Instant,
    /// Nanoseconds after `epoch`; 0: there is no lease.
    until: Arc<AtomicU64>,
}

impl OwnLease {
    /// No lease yet.
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            until: Arc::default(),
        }
    }

    /// The lease runs for `lease` from `sent_at`, when the renewal that was granted was sent.
    pub(crate) fn extend(&self, sent_at: Instant, lease: Duration) {
        let until = (sent_at + lease).duration_since(self.epoch).as_nanos();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        self.until.store(until, Ordering::Release);
    }

    /// The life that had the lease is over.
    pub(crate) fn end(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// True while it runs.
    pub(crate) fn runs(&self) -> bool {
        self.runs_at(Instant::now())
    }

    fn runs_at(&self, now: Instant) -> bool {
        let until = self.until.load(Ordering::Acquire);
        now.duration_since(self.epoch).as_nanos() < u128::from(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contract_d1_a_lease_counts_from_when_its_renewal_was_sent() {
        const LEASE: Duration = Duration::from_secs(10);
        let own = OwnLease::new();
        assert!(!own.runs());
        let sent_at = Instant::now() + LEASE;
        own.extend(sent_at, LEASE);
        let end = sent_at + LEASE;
        assert!(own.runs_at(end - Duration::from_nanos(1)));
        assert!(!own.runs_at(end));
        own.end();
        assert!(!own.runs_at(sent_at));
    }
}
