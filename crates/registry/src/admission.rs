use std::collections::{BTreeMap, BTreeSet};

use openraft::ChangeMembers;
use tonic::Status;

use crate::NodeId;
use crate::membership::{Membership, Turn};
use crate::pb::peer as pb;
use crate::raft::Member;

/// Takes nodes into the running cluster; the leader's part of joining.
#[derive(Clone)]
pub(crate) struct Admission {
    membership: Membership,
}

/// How a node's membership must change to have it in.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// Former identities of the node, which lost its data.
    replaces: BTreeSet<u64>,
    /// The voters afterwards, if they change.
    voters: Option<BTreeSet<u64>>,
}

impl Admission {
    pub(crate) fn new(membership: Membership) -> Self {
        Self { membership }
    }

    /// Makes `node` a member. Again and again asked for, it does what is left to do.
    ///
    /// A founder is a voter, unless there are enough without it; any other node begins as a
    /// learner. One that comes back without its data is a new identity and takes the place of the
    /// old, which is removed: an identity is never used again.
    pub(crate) async fn admit(&self, node: pb::Member) -> Result<(), Status> {
        let turn = self.membership.turn().await?;
        let (id, member) = (
            node.id,
            Member {
                name: node.name,
                address: node.address,
            },
        );
        let plan = self.plan(id, &member.name)?;
        tracing::info!(node = member.name, id, replaces = ?plan.replaces, "Taking a node in");
        self.membership.add_learner(&turn, id, member).await?;
        if let Some(voters) = plan.voters {
            let change = ChangeMembers::ReplaceAllVoters(voters);
            self.membership.change(&turn, change).await?;
        }
        self.remove_former(&turn, plan.replaces).await
    }

    /// Those that were voters have gone with the change of voters.
    async fn remove_former(&self, turn: &Turn<'_>, mut left: BTreeSet<u64>) -> Result<(), Status> {
        left.retain(|old| self.membership.is_member(NodeId(*old)));
        if left.is_empty() {
            return Ok(());
        }
        let change = ChangeMembers::RemoveNodes(left);
        self.membership.change(turn, change).await
    }

    fn plan(&self, id: u64, name: &str) -> Result<Plan, Status> {
        let core = &self.membership.core;
        let metrics = core.raft.metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        let members: BTreeMap<u64, Member> = membership
            .nodes()
            .map(|(id, member)| (*id, member.clone()))
            .collect();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        self.check_identity(id, name, &members)?;
        let founders = core.config.founders();
        let is_founder = founders.iter().any(|founder| founder.name == name);
        let founder_votes = is_founder && voters.len() < core.config.voters;
        let plan = plan((id, name), founder_votes, &members, &voters);
        match plan
            .replaces
            .iter()
            .find(|old| self.is_in_use(NodeId(**old)))
        {
            // Either another node has taken the name by mistake, or its lease has yet to run out.
            Some(old) => {
                let address = core.address(*old, members.get(old)).unwrap_or_default();
                Err(Status::already_exists(format!(
                    "the name {name:?} is in use by node {old} at {address}, which is alive"
                )))
            }
            None => Ok(plan),
        }
    }

    fn check_identity(
        &self,
        id: u64,
        name: &str,
        members: &BTreeMap<u64, Member>,
    ) -> Result<(), Status> {
        if self.membership.core.is_removed(NodeId(id)) {
            return Err(removed(name, NodeId(id)));
        }
        match members.get(&id) {
            Some(member) if member.name != name => Err(Status::permission_denied(format!(
                "the identity {id} belongs to node {:?}: this data_dir is a copy of its",
                member.name
            ))),
            _ => Ok(()),
        }
    }

    /// Whether the node may still be there. The lease book of a new leader is empty at first: only
    /// the table tells that a node has left or expired.
    fn is_in_use(&self, id: NodeId) -> bool {
        let in_a_life = self.membership.core.replica.read(|state| {
            let row = state.table.node(id);
            row.is_some_and(|row| row.incarnation.is_some())
        });
        self.membership.liveness.is_alive(id) || in_a_life
    }
}

/// What a node that was removed is told.
pub(crate) fn removed(name: &str, id: NodeId) -> Status {
    Status::permission_denied(format!(
        "{name} (node {id}) was removed from the cluster, or has been replaced: to have it back as \
         a new node, stop it and empty its data_dir"
    ))
}

fn plan(
    (id, name): (u64, &str),
    founder_votes: bool,
    members: &BTreeMap<u64, Member>,
    voters: &BTreeSet<u64>,
) -> Plan {
    let namesakes = members
        .iter()
        .filter(|(other, member)| **other != id && member.name == name);
    let replaces: BTreeSet<u64> = namesakes.map(|(other, _)| *other).collect();
    let mut wanted: BTreeSet<u64> = voters.difference(&replaces).copied().collect();
    if founder_votes || replaces.iter().any(|old| voters.contains(old)) {
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
