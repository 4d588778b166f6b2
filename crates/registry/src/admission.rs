use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::ChangeMembers;
use tokio::time::{Instant, timeout};
use tonic::Status;

use crate::NodeId;
use crate::core::{Core, not_the_leader, write_status};
use crate::liveness::Liveness;
use crate::pb::peer as pb;
use crate::raft::Member;

/// Takes nodes into the running cluster; the leader's part of joining.
#[derive(Clone)]
pub(crate) struct Admission {
    core: Core,
    liveness: Liveness,
    /// One change of the membership at a time.
    changing: Arc<tokio::sync::Mutex<()>>,
}

/// How a node's membership must change to have it in.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// Former identities of the node, which lost its data.
    replaces: BTreeSet<u64>,
    /// The voters afterwards, if they change.
    voters: Option<BTreeSet<u64>>,
}

/// Longest wait for a new member to catch up with the log.
const CATCH_UP: Duration = Duration::from_secs(10);

impl Admission {
    pub(crate) fn new(core: Core, liveness: Liveness) -> Self {
        Self {
            core,
            liveness,
            changing: Arc::default(),
        }
    }

    /// True if `node` is a member, voter or learner.
    pub(crate) fn is_member(&self, node: NodeId) -> bool {
        let metrics = self.core.raft.metrics();
        let metrics = metrics.borrow();
        metrics
            .membership_config
            .membership()
            .get_node(&node.0)
            .is_some()
    }

    /// Makes `node` a member. Again and again asked for, it does what is left to do.
    ///
    /// A founder is a voter. One that comes back without its data is a new identity and takes the
    /// place of the old, which is removed: an identity is never used again.
    pub(crate) async fn admit(&self, node: pb::Member) -> Result<(), Status> {
        if !self.core.is_leader() {
            return Err(not_the_leader());
        }
        let Ok(_changing) = self.changing.try_lock() else {
            return Err(Status::unavailable("another node is being taken in"));
        };
        // The plan depends on the table: it must hold what earlier leaders have committed.
        let proof = Instant::now() + self.core.config.timings.confirm;
        let current = self.core.read_index(proof).await;
        current.map_err(|error| Status::unavailable(error.to_string()))?;
        let (id, member) = (
            node.id,
            Member {
                name: node.name,
                address: node.address,
            },
        );
        let plan = self.plan(id, &member.name)?;
        tracing::info!(node = member.name, id, replaces = ?plan.replaces, "Taking a node in");
        self.add_learner(id, member).await?;
        if let Some(voters) = plan.voters {
            self.change(ChangeMembers::ReplaceAllVoters(voters)).await?;
        }
        // Those that were voters have gone with the change of voters.
        let mut left = plan.replaces;
        left.retain(|old| self.is_member(NodeId(*old)));
        if !left.is_empty() {
            self.change(ChangeMembers::RemoveNodes(left)).await?;
        }
        Ok(())
    }

    fn plan(&self, id: u64, name: &str) -> Result<Plan, Status> {
        let metrics = self.core.raft.metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        let members: BTreeMap<u64, Member> = membership
            .nodes()
            .map(|(id, member)| (*id, member.clone()))
            .collect();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let is_founder = self
            .core
            .config
            .founders()
            .iter()
            .any(|founder| founder.name == name);
        let plan = plan((id, name), is_founder, &members, &voters);
        match plan
            .replaces
            .iter()
            .find(|old| self.is_in_use(NodeId(**old)))
        {
            // Either another node has taken the name by mistake, or its lease has yet to run out.
            Some(old) => Err(Status::unavailable(format!(
                "the name {name:?} is in use by node {old}, whose lease still runs"
            ))),
            None => Ok(plan),
        }
    }

    /// Whether the node may still be there. The lease book of a new leader is empty at first: only
    /// the table tells that a node has left or expired.
    fn is_in_use(&self, id: NodeId) -> bool {
        let in_a_life = self.core.replica.read(|state| {
            let row = state.table.node(id);
            row.is_some_and(|row| row.incarnation.is_some())
        });
        self.liveness.is_alive(id) || in_a_life
    }

    async fn add_learner(&self, id: u64, member: Member) -> Result<(), Status> {
        match timeout(CATCH_UP, self.core.raft.add_learner(id, member, true)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(write_status(error)),
            Err(_) => Err(Status::unavailable(
                "the node does not catch up with the log",
            )),
        }
    }

    async fn change(&self, change: ChangeMembers<u64, Member>) -> Result<(), Status> {
        match timeout(CATCH_UP, self.core.raft.change_membership(change, false)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(write_status(error)),
            Err(_) => Err(Status::unavailable(
                "the change of membership takes too long",
            )),
        }
    }
}

fn plan(
    (id, name): (u64, &str),
    is_founder: bool,
    members: &BTreeMap<u64, Member>,
    voters: &BTreeSet<u64>,
) -> Plan {
    let namesakes = members
        .iter()
        .filter(|(other, member)| **other != id && member.name == name);
    let replaces: BTreeSet<u64> = namesakes.map(|(other, _)| *other).collect();
    let mut wanted: BTreeSet<u64> = voters.difference(&replaces).copied().collect();
    if is_founder || replaces.iter().any(|old| voters.contains(old)) {
        wanted.insert(id);
    }
    Plan {
        replaces,
        voters: (wanted != *voters).then_some(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(names: &[(u64, &str)]) -> BTreeMap<u64, Member> {
        let member = |name: &str| Member {
            name: name.to_owned(),
            address: String::new(),
        };
        names.iter().map(|(id, name)| (*id, member(name))).collect()
    }

    #[test]
    fn a_founder_that_lost_its_data_takes_the_place_of_its_old_identity() {
        let members = members(&[(1, "a"), (2, "b"), (3, "c")]);
        let voters = BTreeSet::from([1, 2, 3]);
        let plan = plan((9, "b"), true, &members, &voters);
        assert_eq!(plan.replaces, BTreeSet::from([2]));
        assert_eq!(plan.voters, Some(BTreeSet::from([1, 3, 9])));
    }

    #[test]
    fn a_repeated_request_finds_nothing_left_to_do() {
        let members = members(&[(1, "a"), (9, "b"), (3, "c")]);
        let voters = BTreeSet::from([1, 9, 3]);
        let plan = plan((9, "b"), true, &members, &voters);
        assert_eq!(plan.replaces, BTreeSet::new());
        assert_eq!(plan.voters, None);
    }

    #[test]
    fn a_node_that_is_no_founder_becomes_a_learner() {
        let members = members(&[(1, "a"), (2, "b"), (3, "c")]);
        let voters = BTreeSet::from([1, 2, 3]);
        let plan = plan((9, "d"), false, &members, &voters);
        assert_eq!(plan.replaces, BTreeSet::new());
        assert_eq!(plan.voters, None);
    }
}
