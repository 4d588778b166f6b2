use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use openraft::ChangeMembers;
use tokio::sync::MutexGuard;
use tokio::time::{Instant, timeout};
use tonic::Status;

use crate::NodeId;
use crate::command::{Batch, Command};
use crate::core::{Core, not_the_leader, write_status};
use crate::dialer::PeerAddress;
use crate::formation;
use crate::liveness::Liveness;
use crate::raft::Member;
use crate::roster::{Entry, Roster};

/// Changes who belongs to the cluster, as its leader.
#[derive(Clone)]
pub(crate) struct Membership {
    pub(crate) core: Core,
    pub(crate) liveness: Liveness,
    /// One change at a time.
    changing: Arc<tokio::sync::Mutex<()>>,
}

/// The right to change the membership; its holder has proved that it leads and is a member.
pub(crate) struct Turn<'a> {
    _changing: MutexGuard<'a, ()>,
}

/// Longest wait for the change before.
const TURN: Duration = Duration::from_secs(5);
/// Longest wait for a change to be committed, or for a new member to catch up with the log.
const CHANGE: Duration = Duration::from_secs(10);

impl Membership {
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
        let membership = metrics.membership_config.membership();
        membership.get_node(&node.0).is_some()
    }

    /// True until a membership without `node` is committed, as far as this node knows.
    pub(crate) fn may_need(&self, node: NodeId) -> bool {
        let metrics = self.core.raft.metrics();
        let metrics = metrics.borrow();
        let membership = &metrics.membership_config;
        let is_committed = metrics.last_applied >= *membership.log_id();
        !is_committed || membership.membership().get_node(&node.0).is_some()
    }

    /// Waits until no other change is under way and this node's table holds what earlier leaders
    /// have committed: every change depends on it.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>, Status> {
        if !self.core.is_leader() {
            return Err(not_the_leader());
        }
        let changing = timeout(TURN, self.changing.lock()).await;
        let changing = changing
            .map_err(|_| Status::unavailable("another change of the membership is under way"))?;
        let proof = Instant::now() + self.core.config.timings.confirm;
        let current = self.core.read_index(proof).await;
        current.map_err(|error| Status::unavailable(error.to_string()))?;
        if !self.belongs().await? {
            return Err(not_the_leader());
        }
        self.liveness.attend();
        Ok(Turn {
            _changing: changing,
        })
    }

    /// False for a leader that has just removed itself: it leads until openraft's next tick, which
    /// takes a further change of the membership by it for a bug. Asks Raft, since the metrics may
    /// be those of a moment before.
    async fn belongs(&self) -> Result<bool, Status> {
        let own = self.core.id().0;
        let belongs = self.core.raft.with_raft_state(move |state| {
            let effective = state.membership_state.effective();
            effective.get_node(&own).is_some()
        });
        let belongs = timeout(TURN, belongs).await;
        let belongs = belongs.map_err(|_| Status::unavailable("Raft does not answer in time"))?;
        belongs.map_err(|error| Status::unavailable(error.to_string()))
    }

    /// The members as this node, as leader, knows them.
    pub(crate) fn roster(&self) -> Roster {
        let metrics = self.core.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let acknowledged = metrics.replication.unwrap_or_default();
        let last = metrics.last_log_index.unwrap_or(0);
        let lag = |id: &u64| {
            if *id == metrics.id {
                return Some(0);
            }
            let acknowledged = acknowledged.get(id).copied().flatten()?;
            Some(last.saturating_sub(acknowledged.index))
        };
        let members = self.core.replica.read(|state| {
            let entry = |(id, member): (&u64, &Member)| {
                let node = NodeId(*id);
                let row = state.table.node(node);
                let in_a_life = row.is_some_and(|row| row.incarnation.is_some());
                let entry = Entry {
                    name: member.name.clone(),
                    is_voter: voters.contains(id),
                    is_alive: in_a_life && self.liveness.is_alive(node),
                    is_drained: self.liveness.is_drained(node),
                    is_removed: state.table.is_removed(node),
                    lag: lag(id),
                };
                (*id, entry)
            };
            membership.nodes().map(entry).collect()
        });
        Roster {
            members,
            is_joint: membership.get_joint_config().len() > 1,
        }
    }

    /// As [`Self::roster`], with those alone alive that answer at this moment: a lease may be that
    /// of a node that has just died.
    async fn probed_roster(&self) -> Roster {
        let mut roster = self.roster();
        let own = self.core.id().0;
        let asked = roster.members.iter();
        let asked = asked.filter(|(id, entry)| entry.is_alive && **id != own);
        let silent = join_all(asked.map(|(id, _)| async { (*id, self.answers(*id).await) }));
        for (id, answers) in silent.await {
            if let Some(entry) = roster.members.get_mut(&id) {
                entry.is_alive = answers;
            }
        }
        roster
    }

    async fn answers(&self, id: u64) -> bool {
        let address = {
            let metrics = self.core.raft.metrics();
            let metrics = metrics.borrow();
            let member = metrics.membership_config.membership().get_node(&id);
            self.core.address(id, member)
        };
        let Some(address) = address else { return false };
        let peer = PeerAddress {
            address: address.to_string(),
            name: self.core.name_of(id),
        };
        let answer = formation::ask(&self.core, peer).await;
        answer.is_ok_and(|answer| answer.id == id)
    }
}

// === what can be done in a turn ===

impl Membership {
    /// Makes a node a learner, and waits until it has caught up.
    pub(crate) async fn add_learner(
        &self,
        _turn: &Turn<'_>,
        id: u64,
        member: Member,
    ) -> Result<(), Status> {
        match timeout(CHANGE, self.core.raft.add_learner(id, member, true)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(write_status(error)),
            Err(_) => Err(Status::unavailable(
                "the node does not catch up with the log",
            )),
        }
    }

    /// Makes a voter of a learner.
    pub(crate) async fn promote(&self, turn: &Turn<'_>, id: u64) -> Result<(), Status> {
        let voters = BTreeSet::from([id]);
        self.change(turn, ChangeMembers::AddVoterIds(voters)).await
    }

    /// Removes a member for good: its registrations first, then its vote. What is left undone if
    /// this node stops to lead is done by the next leader.
    pub(crate) async fn remove(&self, turn: &Turn<'_>, id: u64) -> Result<(), Status> {
        let roster = self.probed_roster().await;
        let after = roster.without(id, self.core.config.voters);
        let after = after.map_err(|refusal| {
            let name = roster.members.get(&id).map_or("", |entry| &entry.name);
            Status::failed_precondition(format!("{name} is needed: {refusal}"))
        })?;
        let removed = Batch::from(Command::NodeRemoved { node: NodeId(id) });
        let deadline = Instant::now() + CHANGE;
        let committed = self.core.submit(&removed, deadline).await;
        committed.map_err(|error| Status::unavailable(error.to_string()))?;
        let change = match after {
            Some(voters) => ChangeMembers::ReplaceAllVoters(voters),
            None => ChangeMembers::RemoveNodes(BTreeSet::from([id])),
        };
        self.change(turn, change).await
    }

    /// Finishes a change of voters that was begun.
    pub(crate) async fn finish_change(&self, turn: &Turn<'_>) -> Result<(), Status> {
        // Adds nobody; openraft goes on to the voters that the change was for.
        self.change(turn, ChangeMembers::AddVoterIds(BTreeSet::new()))
            .await
    }

    /// Changes the membership. Voters that vote no longer leave it.
    pub(crate) async fn change(
        &self,
        _turn: &Turn<'_>,
        change: ChangeMembers<u64, Member>,
    ) -> Result<(), Status> {
        match timeout(CHANGE, self.core.raft.change_membership(change, false)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(write_status(error)),
            Err(_) => Err(Status::unavailable(
                "the change of membership takes too long",
            )),
        }
    }
}
