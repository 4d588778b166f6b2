use tonic::Status;

use crate::admission::Admission;
use crate::dialer::PeerAddress;
use crate::membership::Membership;
use crate::pb::peer as pb;
use crate::pb::peer::change_request::Change;
use crate::roster::{CAUGHT_UP, Roster};
use crate::{ClusterId, NodeId, formation};

/// What operators change in the cluster; the leader's part. Each change is made of steps that may
/// be repeated, so that it survives the loss of an answer and of a leader.
#[derive(Clone)]
pub(crate) struct Operations {
    membership: Membership,
    admission: Admission,
}

impl Operations {
    pub(crate) fn new(membership: Membership, admission: Admission) -> Self {
        Self {
            membership,
            admission,
        }
    }

    /// Does what can be done now.
    ///
    /// # Errors
    ///
    /// `FAILED_PRECONDITION` or `NOT_FOUND`: it will not be done as things are, and why.
    /// `UNAVAILABLE`: it may be done later.
    pub(crate) async fn step(&self, change: Change) -> Result<pb::ChangeResponse, Status> {
        match change {
            Change::Add(pb::AddNode { name, address }) => self.add(&name, &address).await,
            Change::Remove(pb::RemoveNode { node }) => self.remove(&node).await,
            Change::Promote(pb::PromoteNode { node }) => self.promote(&node).await,
        }
    }

    async fn add(&self, name: &str, address: &str) -> Result<pb::ChangeResponse, Status> {
        let core = &self.membership.core;
        let peer = PeerAddress {
            address: address.to_owned(),
            name: Some(name.to_owned()),
        };
        let answer = formation::ask(core, peer).await.map_err(|reason| {
            refused(format!(
                "no node answers at {address}: {reason}; it must run, with cluster.seeds"
            ))
        })?;
        if answer.name != name {
            let found = answer.name;
            return Err(refused(format!(
                "{address} is node {found:?}, not {name:?}"
            )));
        }
        if answer.cluster != core.config.cluster {
            let (theirs, ours) = (answer.cluster, &core.config.cluster);
            return Err(refused(format!(
                "{address} belongs to cluster {theirs:?}, not {ours:?}"
            )));
        }
        let ours = core.cluster().ok_or_else(crate::core::not_the_leader)?;
        let theirs = ClusterId(answer.cluster_id);
        if theirs == ours && self.membership.is_member(NodeId(answer.id)) {
            return Ok(done(format!("{name} is a member already")));
        }
        if theirs.0 != 0 && theirs != ours {
            return Err(refused(format!(
                "{address} belongs to another cluster of the same name: {theirs}, not {ours}"
            )));
        }
        if theirs.0 == 0 && !answer.founders.is_empty() {
            return Err(refused(format!(
                "{address} has cluster.members, to form a cluster: give it cluster.seeds instead"
            )));
        }
        let admitted = self.admission.admit(pb::Member {
            id: answer.id,
            name: answer.name,
            address: answer.address,
        });
        admitted.await.map_err(|status| match status.code() {
            tonic::Code::PermissionDenied | tonic::Code::AlreadyExists => {
                refused(status.message().to_owned())
            }
            _ => status,
        })?;
        Ok(done(format!("{name} was taken in as a learner")))
    }

    async fn remove(&self, node: &str) -> Result<pb::ChangeResponse, Status> {
        let turn = self.membership.turn().await?;
        let roster = self.membership.roster();
        let Some(id) = roster.find(node) else {
            return match self.was_removed(node) {
                true => Ok(done(format!("{node} was removed before"))),
                false => Err(unknown(node, &roster)),
            };
        };
        if roster.is_joint {
            return Ok(wait("a change of voters is being finished"));
        }
        self.membership.remove(&turn, id).await?;
        tracing::info!(node, id, "Removed, as an operator wants");
        Ok(done(format!("{node} was removed")))
    }

    fn was_removed(&self, node: &str) -> bool {
        self.membership.core.replica.read(|state| {
            let mut removed = state.table.removed();
            removed.any(|(id, name)| &**name == node || id.to_string() == node)
        })
    }

    async fn promote(&self, node: &str) -> Result<pb::ChangeResponse, Status> {
        let turn = self.membership.turn().await?;
        let roster = self.membership.roster();
        let id = roster.find(node).ok_or_else(|| unknown(node, &roster))?;
        if roster.is_joint {
            return Ok(wait("a change of voters is being finished"));
        }
        let entry = &roster.members[&id];
        if entry.is_voter {
            return Ok(done(format!("{node} is a voter already")));
        }
        if !entry.is_alive || entry.is_removed {
            return Err(refused(format!(
                "{node} is not alive: a voter that does not answer only weakens the cluster"
            )));
        }
        match entry.lag {
            Some(lag) if lag <= CAUGHT_UP => {}
            Some(lag) => return Ok(wait(format!("{node} lacks {lag} entries of the log"))),
            None => return Ok(wait(format!("{node} has nothing of the log yet"))),
        }
        self.membership.promote(&turn, id).await?;
        tracing::info!(node, id, "Promoted to voter, as an operator wants");
        let voters = self.membership.roster().voters().len();
        Ok(done(format!("{node} is a voter, one of {voters}")))
    }
}

fn done(message: impl Into<String>) -> pb::ChangeResponse {
    pb::ChangeResponse {
        done: true,
        message: message.into(),
    }
}

fn wait(message: impl Into<String>) -> pb::ChangeResponse {
    pb::ChangeResponse {
        done: false,
        message: message.into(),
    }
}

fn refused(message: String) -> Status {
    Status::failed_precondition(message)
}

fn unknown(node: &str, roster: &Roster) -> Status {
    Status::not_found(format!(
        "no node {node:?} in the cluster: there are {}",
        roster.names()
    ))
}
