use std::path::PathBuf;
use std::time::Duration;

/// One of the nodes that form the cluster (`cluster.members`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Founder {
    /// Its `node.name`.
    pub name: String,
    /// Where its peers reach it, `host:port`.
    pub address: String,
}

/// What the registry of one node must know before it can start.
#[derive(Debug, Clone)]
pub struct Config {
    /// `cluster.name`, the same on every node.
    pub cluster: String,
    /// `node.name`, unique in the cluster.
    pub node: String,
    /// Where peers reach this node, `host:port` (`cluster.advertise`).
    pub advertise: String,
    /// The founders, the same list on each of them. Empty: this node alone is the cluster.
    pub members: Vec<Founder>,
    /// Directory that belongs to this node alone; made if it does not exist.
    pub data_dir: PathBuf,
    /// Leases and time limits.
    pub timings: Timings,
}

impl Config {
    /// The founders; this node alone if none are configured.
    pub(crate) fn founders(&self) -> Vec<Founder> {
        if !self.members.is_empty() {
            return self.members.clone();
        }
        vec![Founder {
            name: self.node.clone(),
            address: self.advertise.clone(),
        }]
    }
}

/// Leases, time limits and thresholds of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// How long a node that is silent keeps its registrations. Renewed three times within.
    pub lease: Duration,
    /// How often the leader tells its followers that it lives.
    pub heartbeat: Duration,
    /// Shortest patience with an election. A follower that has a leader grants it `election_max`
    /// of silence first: it stands for election after `election_max + election_min` at the
    /// earliest, `2 * election_max` at the latest.
    pub election_min: Duration,
    /// Longest patience with an election.
    pub election_max: Duration,
    /// Longest transfer of one snapshot.
    pub snapshot: Duration,
    /// Longest wait for a registration to be committed. Below the listeners' default
    /// `state_timeout` of 5 s, so that who waits is told why.
    pub propose: Duration,
    /// Longest wait for a linearizable read.
    pub confirm: Duration,
    /// Longest wait for the departure to be committed when the node leaves.
    pub leave: Duration,
    /// Log entries from one snapshot to the next; a fifth of them is kept behind it for followers
    /// that lag a little.
    pub snapshot_entries: u64,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            heartbeat: Duration::from_millis(250),
            election_min: Duration::from_millis(500),
            election_max: Duration::from_millis(1000),
            snapshot: Duration::from_secs(20),
            propose: Duration::from_secs(4),
            confirm: Duration::from_secs(2),
            leave: Duration::from_secs(3),
            snapshot_entries: 5000,
        }
    }
}
