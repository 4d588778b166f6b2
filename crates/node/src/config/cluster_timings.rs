use std::time::Duration;

use super::section::Section;
use super::value::{Parsed, Value, integer};

/// How soon a node that is silent is given up, and a leader replaced (`[cluster]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClusterTimings {
    /// How long a node that is silent keeps its registrations.
    pub(crate) lease: Duration,
    /// How often the leader says that it lives.
    pub(crate) heartbeat: Duration,
    /// The shortest silence of the leader after which another node stands for election.
    pub(crate) election_min: Duration,
    /// The longest.
    pub(crate) election_max: Duration,
}

impl Default for ClusterTimings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            heartbeat: Duration::from_millis(250),
            election_min: Duration::from_millis(1500),
            election_max: Duration::from_millis(2000),
        }
    }
}

impl ClusterTimings {
    /// Reads the keys from `[cluster]` and checks them against each other.
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let default = Self::default();
        let mut get = |key, default| section.optional(key, millis).unwrap_or(default);
        let timings = Self {
            lease: get("lease", default.lease),
            heartbeat: get("heartbeat", default.heartbeat),
            election_min: get("election_timeout_min", default.election_min),
            election_max: get("election_timeout_max", default.election_max),
        };
        timings.check(section);
        timings
    }

    fn check(&self, section: &Section<'_>) {
        // Raft is silent for half of the longest timeout first, and then for a random time, which
        // must have room for two heartbeats.
        let least = self.election_max / 2 + 2 * self.heartbeat;
        if self.election_min >= self.election_max {
            let message = format!(
                "must be shorter than cluster.election_timeout_max, {} ms: nodes that stand for \
                 election at the same moment split the votes",
                self.election_max.as_millis()
            );
            section.error_at_key("election_timeout_min", &message);
        } else if self.election_min < least {
            let message = format!(
                "must be at least {} ms: half of cluster.election_timeout_max and two of \
                 cluster.heartbeat, so that a lost heartbeat is no reason for an election; \
                 or shorten cluster.heartbeat",
                least.as_millis()
            );
            section.error_at_key("election_timeout_min", &message);
        }
        // A node renews after a third; each attempt takes a sixth, and a twentieth passes between
        // two. What is left must be longer than an election.
        let least = self.election_max * 5 / 2;
        if self.lease < least {
            let message = format!(
                "must be at least {} ms, two and a half times cluster.election_timeout_max, or \
                 nodes that are alive are given up during an election; or shorten \
                 cluster.election_timeout_max",
                least.as_millis()
            );
            section.error_at_key("lease", &message);
        }
    }
}

/// Milliseconds, from 10 to ten minutes.
fn millis(value: Value<'_>) -> Parsed<Duration> {
    Ok(Duration::from_millis(integer(10..=600_000)(value)?))
}
