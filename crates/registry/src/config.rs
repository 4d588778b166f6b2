use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::dialer::Dialer;

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
    /// The founders, the same list on each of them. Empty, without `seeds`: this node alone is the
    /// cluster.
    pub members: Vec<Founder>,
    /// Where nodes of a running cluster may be, `host:port` each: this node is no founder and asks
    /// them to be taken in. None: it is a founder. Empty: it waits until an operator adds it.
    pub seeds: Option<Vec<String>>,
    /// As many voters the leader makes of the learners that are alive, as long as there are fewer
    /// (`cluster.voters`, the same on every node).
    pub voters: usize,
    /// Directory that belongs to this node alone; made if it does not exist.
    pub data_dir: PathBuf,
    /// Leases and time limits.
    pub timings: Timings,
    /// How to connect to peers.
    pub dialer: Arc<dyn Dialer>,
    /// What happens to registrations without quorum.
    pub on_no_quorum: OnNoQuorum,
}

/// What becomes of a registration that the cluster cannot commit (contract R6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnNoQuorum {
    /// It fails, and the component tries elsewhere.
    #[default]
    Refuse,
    /// It holds for this node only, and is published when quorum returns. If another node turns
    /// out to hold the name exclusively, or the registration is exclusive and another node holds
    /// the name at all, it is a [`crate::Loss`] then.
    AcceptLocal,
}

impl Config {
    /// The founders; this node alone if none are configured, nobody if it has seeds instead.
    pub(crate) fn founders(&self) -> Vec<Founder> {
        if !self.members.is_empty() || self.seeds.is_some() {
            return self.members.clone();
        }
        vec![Founder {
            name: self.node.clone(),
            address: self.advertise.clone(),
        }]
    }
}

/// How many voters there should be, unless the configuration says otherwise: one may die.
pub const DEFAULT_VOTERS: usize = 3;

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
