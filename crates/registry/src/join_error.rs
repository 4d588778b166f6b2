use crate::ClusterId;

/// Why a node cannot become part of its cluster, ever, as things are configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// A founder was configured with another list of founders.
    #[error("{address} has another list of cluster.members: {theirs}; here: {ours}")]
    FoundersDiffer {
        /// The founder that was asked.
        address: String,
        /// Its list.
        theirs: String,
        /// This node's list.
        ours: String,
    },
    /// A founder's or a seed's address leads to a node of another cluster.
    #[error("{address} belongs to cluster {theirs:?}, not {ours:?}")]
    OtherCluster {
        /// The node that was asked.
        address: String,
        /// The name of its cluster.
        theirs: String,
        /// The name of this node's cluster.
        ours: String,
    },
    /// A founder's address leads to a node of another name.
    #[error("{address} is node {found:?}, not {expected:?}: cluster.members is wrong")]
    OtherNode {
        /// The founder that was asked.
        address: String,
        /// The name of the node there.
        found: String,
        /// The name it has in `cluster.members`.
        expected: String,
    },
    /// The seeds lead to different clusters of one name.
    #[error(
        "cluster.seeds lead to two clusters of the same name: {first_id} at {first}, \
         {second_id} at {second}"
    )]
    TwoClusters {
        /// A seed.
        first: String,
        /// The id of its cluster.
        first_id: ClusterId,
        /// Another seed.
        second: String,
        /// The id of its cluster.
        second_id: ClusterId,
    },
    /// The cluster does not take this node in.
    #[error("the cluster refuses this node: {0}")]
    Refused(String),
    /// Another process with this node's identity has joined later.
    #[error("another process has joined with this node's identity")]
    Superseded,
    /// The node is leaving.
    #[error("the node is leaving the cluster")]
    Leaving,
    /// The disk or Raft has failed.
    #[error("the registry's storage has failed: {0}")]
    Storage(String),
}
