use std::sync::Arc;
use std::time::Duration;

use openraft::{RaftMetrics, ServerState};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::config::Timings;
use crate::raft::{Member, Raft, Reachability};

/// Whether it is worth waiting for the cluster: lost once no leader has been known for half as long
/// again as an election takes, or for a moment if a majority of the voters is known not to answer.
#[derive(Clone)]
pub(crate) struct Quorum {
    raft: Raft,
    /// How long an election takes at most.
    patience: Duration,
    peers: Arc<Reachability>,
    lost: Arc<watch::Sender<bool>>,
}

const CHECK_EVERY: Duration = Duration::from_millis(100);

impl Quorum {
    pub(crate) fn new(raft: Raft, timings: Timings, peers: Arc<Reachability>) -> Self {
        Self {
            raft,
            patience: timings.election_max,
            peers,
            lost: Arc::new(watch::Sender::new(false)),
        }
    }

    /// True when proposals and reads should fail at once.
    pub(crate) fn is_lost(&self) -> bool {
        *self.lost.borrow()
    }

    /// Follows [`Self::is_lost`].
    pub(crate) fn subscribe(&self) -> watch::Receiver<bool> {
        self.lost.subscribe()
    }

    /// Ready when [`Self::is_lost`].
    pub(crate) async fn until_lost(&self) {
        let mut lost = self.lost.subscribe();
        // Cannot fail: the sender is held here.
        let _ = lost.wait_for(|lost| *lost).await;
    }

    /// Ready when not [`Self::is_lost`].
    pub(crate) async fn until_found(&self) {
        let mut lost = self.lost.subscribe();
        // Cannot fail: the sender is held here.
        let _ = lost.wait_for(|lost| !*lost).await;
    }

    /// How long it may take until there is a leader again.
    fn longest_silence(&self) -> Duration {
        if self.has_majority() {
            self.patience * 3 / 2
        } else {
            // What is known of a peer may be old. A candidate asks for votes at once, and a leader
            // all the time: by now it would be known better.
            self.patience / 4
        }
    }

    /// False if so many voters do not answer that the others are no majority.
    fn has_majority(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let voters = || metrics.membership_config.voter_ids();
        let is_silent = |id: &u64| *id != metrics.id && self.peers.is_unreachable(*id);
        let silent = voters().filter(is_silent).count();
        let voters = voters().count();
        voters == 0 || (voters - silent) * 2 > voters
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
                .is_some_and(|since| now.duration_since(since) >= self.longest_silence());
            self.lost
                .send_if_modified(|present| std::mem::replace(present, lost) != lost);
        }
    }
}
