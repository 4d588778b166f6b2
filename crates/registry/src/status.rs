use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::timeout;

use crate::core::{Core, Leader};
use crate::liveness::Liveness;
use crate::pb::peer as pb;
use crate::{ClusterId, Incarnation, NodeId, peer_service};

/// The cluster as one node sees it, with what its leader knows if that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// `cluster.name`.
    pub cluster: String,
    /// None: this node belongs to no cluster yet.
    pub cluster_id: Option<ClusterId>,
    /// Name of the leader, if one is known.
    pub leader: Option<String>,
    /// Raft log index that this node has applied.
    pub revision: u64,
    /// Name of the node that answers.
    pub answered_by: String,
    /// The members, sorted by name.
    pub nodes: Vec<NodeStatus>,
}

/// One member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its `node.name`.
    pub name: String,
    /// Its identity.
    pub id: NodeId,
    /// Where its peers reach it, `host:port`.
    pub address: String,
    /// Its part in Raft.
    pub role: Role,
    /// Its present life; none: it is not joined.
    pub incarnation: Option<Incarnation>,
    /// Log index that it has acknowledged; none: not known here.
    pub applied: Option<u64>,
    /// It is joined, and its lease runs: as this node knows of itself, and the leader of others.
    pub alive: bool,
    /// It takes no components: an operator has drained it.
    pub drained: bool,
    /// Why the leader does not reach it; empty: it does, or nobody knows.
    pub problem: String,
}

/// A node's part in Raft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Orders the log.
    Leader,
    /// Votes.
    Follower,
    /// Has the log and does not vote.
    Learner,
}

const ASK_LEADER: Duration = Duration::from_secs(1);

/// Describes the cluster.
pub(crate) async fn describe(core: &Core, liveness: &Liveness) -> ClusterStatus {
    let progress: Option<BTreeMap<u64, pb::NodeProgress>> = ask_leader(core, liveness)
        .await
        .map(|nodes| nodes.into_iter().map(|node| (node.id, node)).collect());
    let metrics = core.raft.metrics().borrow().clone();
    let leader = known_leader(core);
    // Between two leaders nobody vouches for anybody, and the table's word has to do. It does not
    // when the cluster may have changed its mind without this node.
    let table_counts = !core.quorum.is_lost() && leader != Some(core.id().0);
    let membership = metrics.membership_config.membership();
    let voters: BTreeSet<u64> = membership.voter_ids().collect();
    let mut nodes: Vec<NodeStatus> = membership
        .nodes()
        .map(|(id, member)| {
            let row = core
                .replica
                .read(|state| state.table.node(NodeId(*id)).cloned());
            let role = if leader == Some(*id) {
                Role::Leader
            } else if voters.contains(id) {
                Role::Follower
            } else {
                Role::Learner
            };
            let incarnation = row.as_ref().and_then(|row| row.incarnation);
            let known = progress.as_ref().and_then(|nodes| nodes.get(id));
            let is_own = *id == core.id().0;
            let own = is_own.then(|| core.replica.read(|state| state.revision()));
            let lease_runs = match known {
                _ if is_own => liveness.lease_runs(),
                Some(known) => known.alive,
                None => table_counts,
            };
            NodeStatus {
                name: member.name.clone(),
                id: NodeId(*id),
                address: row.map_or_else(|| member.address.clone(), |row| row.address.to_string()),
                role,
                incarnation,
                applied: own.or_else(|| Some(known?.acknowledged)),
                alive: incarnation.is_some() && lease_runs,
                drained: match known {
                    _ if is_own => *core.drained.borrow(),
                    known => known.is_some_and(|known| known.drained),
                },
                problem: known.map_or_else(String::new, |known| known.problem.clone()),
            }
        })
        .collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    ClusterStatus {
        cluster: core.config.cluster.clone(),
        cluster_id: core.cluster(),
        leader: nodes
            .iter()
            .find(|node| node.role == Role::Leader)
            .map(|node| node.name.clone()),
        revision: core.replica.read(|state| state.revision()),
        answered_by: core.config.node.clone(),
        nodes,
    }
}

/// Who leads, unless nobody can without a majority.
fn known_leader(core: &Core) -> Option<u64> {
    if core.quorum.is_lost() {
        return None;
    }
    match core.leader()? {
        Leader::Me => Some(core.id().0),
        Leader::Other { id, .. } => Some(id),
    }
}

async fn ask_leader(core: &Core, liveness: &Liveness) -> Option<Vec<pb::NodeProgress>> {
    match core.leader()? {
        Leader::Me => peer_service::progress(core, liveness),
        Leader::Other { id, address } => {
            let header = Some(core.identity.header(id));
            let mut client = core.client_of(id, &address).ok()?;
            let call = client.progress(pb::ProgressRequest { header });
            let answer = timeout(ASK_LEADER, call).await.ok()?.ok()?;
            Some(answer.into_inner().nodes)
        }
    }
}
