use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::{RaftMetrics, ServerState};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::config::Timings;
use crate::raft::{Member, Raft};

/// Whether it is worth waiting for the cluster: lost once no leader has been known for as long as
/// two elections take.
#[derive(Clone)]
pub(crate) struct Quorum {
    raft: Raft,
    /// How long an election takes at most.
    patience: Duration,
    lost: Arc<AtomicBool>,
}

const CHECK_EVERY: Duration = Duration::from_millis(100);

impl Quorum {
    pub(crate) fn new(raft: Raft, timings: Timings) -> Self {
        Self {
            raft,
            patience: timings.election_max,
            lost: Arc::default(),
        }
    }

    /// True when proposals and reads should fail at once.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// True if a leader is known; if it is this node, its followers must have answered lately.
    fn is_fresh(&self) -> bool {
        self.is_fresh_in(&self.raft.metrics().borrow())
    }

    /// As [`Self::is_fresh`], for metrics at hand.
    pub(crate) fn is_fresh_in(&self, metrics: &RaftMetrics<u64, Member>) -> bool {
        if metrics.state != ServerState::Leader {
            let leader = metrics.current_leader;
            return leader.is_some_and(|leader| leader != metrics.id);
        }
        metrics
            .millis_since_quorum_ack
            .is_some_and(|millis| u128::from(millis) <= self.patience.as_millis())
    }

    /// Keeps watch. Never ends.
    pub(crate) async fn follow(self) {
        let mut without_leader_since: Option<Instant> = None;
        let mut ticks = interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            if self.is_fresh() {
                without_leader_since = None;
            } else {
                without_leader_since.get_or_insert(now);
            }
            let lost = without_leader_since
                .is_some_and(|since| now.duration_since(since) >= 2 * self.patience);
            self.lost.store(lost, Ordering::Relaxed);
        }
    }
}
