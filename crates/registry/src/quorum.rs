use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::ServerState;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::config::Timings;
use crate::raft::Raft;

/// Whether it is worth waiting for the cluster: lost once no leader has been known for as long as
/// an election takes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quorum {
    lost: Arc<AtomicBool>,
}

const CHECK_EVERY: Duration = Duration::from_millis(100);

impl Quorum {
    /// True when proposals and reads should fail at once.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Follows `raft` until `stop`.
    pub(crate) async fn follow(self, raft: Raft, timings: Timings, stop: CancellationToken) {
        let mut without_leader_since: Option<Instant> = None;
        let mut ticks = interval(CHECK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let now = Instant::now();
            if is_led(&raft, timings.election_max) {
                without_leader_since = None;
            } else {
                without_leader_since.get_or_insert(now);
            }
            let lost = without_leader_since
                .is_some_and(|since| now.duration_since(since) >= timings.election_max);
            self.lost.store(lost, Ordering::Relaxed);
        }
    }
}

/// True if a leader is known; if it is this node, its followers must have answered lately.
fn is_led(raft: &Raft, patience: Duration) -> bool {
    let metrics = raft.metrics();
    let metrics = metrics.borrow();
    if metrics.state != ServerState::Leader {
        return metrics
            .current_leader
            .is_some_and(|leader| leader != metrics.id);
    }
    metrics
        .millis_since_quorum_ack
        .is_some_and(|millis| u128::from(millis) <= patience.as_millis())
}
