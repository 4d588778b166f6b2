//! Between openraft's types and the messages of `raft.proto`, which are both the wire and the disk.

use std::collections::{BTreeMap, BTreeSet};

use openraft::{CommittedLeaderId, EntryPayload, LeaderId};

use super::types::{Entry, LogId, Member, Membership, StoredMembership, Vote};
use crate::command::{Batch, Changes, Command, Name, RowChange};
use crate::pb::peer as pb;
use crate::{Claim, ConnectionId, Domain, Incarnation, NodeId};

/// A message that no version of this program would have written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Invalid {
    #[error("the message does not decode: {0}")]
    Decode(#[from] prost::DecodeError),
    #[error("the message lacks {0}")]
    Missing(&'static str),
    #[error("the message has a kind of command that this version does not know")]
    UnknownCommand,
    #[error("{0:?} is no domain")]
    Domain(String),
}

// === Raft's records ===

impl From<LogId> for pb::LogId {
    fn from(id: LogId) -> Self {
        Self {
            term: id.leader_id.term,
            leader: id.leader_id.node_id,
            index: id.index,
        }
    }
}

impl From<pb::LogId> for LogId {
    fn from(id: pb::LogId) -> Self {
        Self::new(CommittedLeaderId::new(id.term, id.leader), id.index)
    }
}

impl From<Vote> for pb::Vote {
    fn from(vote: Vote) -> Self {
        Self {
            term: vote.leader_id.term,
            candidate: vote.leader_id.node_id,
            committed: vote.committed,
        }
    }
}

impl From<pb::Vote> for Vote {
    fn from(vote: pb::Vote) -> Self {
        Self {
            leader_id: LeaderId::new(vote.term, vote.candidate),
            committed: vote.committed,
        }
    }
}

impl From<&Membership> for pb::MembershipConfig {
    fn from(membership: &Membership) -> Self {
        Self {
            voters: membership
                .get_joint_config()
                .iter()
                .map(|ids| pb::VoterSet {
                    ids: ids.iter().copied().collect(),
                })
                .collect(),
            members: membership
                .nodes()
                .map(|(id, member)| pb::Member {
                    id: *id,
                    name: member.name.clone(),
                    address: member.address.clone(),
                })
                .collect(),
        }
    }
}

impl From<pb::MembershipConfig> for Membership {
    fn from(config: pb::MembershipConfig) -> Self {
        let voters: Vec<BTreeSet<u64>> = config
            .voters
            .into_iter()
            .map(|set| set.ids.into_iter().collect())
            .collect();
        let members: BTreeMap<u64, Member> = config
            .members
            .into_iter()
            .map(|member| {
                let pb::Member { id, name, address } = member;
                (id, Member { name, address })
            })
            .collect();
        Self::new(voters, members)
    }
}

impl From<&StoredMembership> for pb::StoredMembership {
    fn from(stored: &StoredMembership) -> Self {
        Self {
            log_id: stored.log_id().map(Into::into),
            config: Some(stored.membership().into()),
        }
    }
}

impl From<pb::StoredMembership> for StoredMembership {
    fn from(stored: pb::StoredMembership) -> Self {
        Self::new(
            stored.log_id.map(Into::into),
            stored.config.unwrap_or_default().into(),
        )
    }
}

impl From<&Entry> for pb::Entry {
    fn from(entry: &Entry) -> Self {
        use pb::entry::Payload;
        let payload = match &entry.payload {
            EntryPayload::Blank => None,
            EntryPayload::Normal(batch) => Some(Payload::Batch(batch.into())),
            EntryPayload::Membership(membership) => Some(Payload::Membership(membership.into())),
        };
        Self {
            log_id: Some(entry.log_id.into()),
            payload,
        }
    }
}

impl TryFrom<pb::Entry> for Entry {
    type Error = Invalid;

    fn try_from(entry: pb::Entry) -> Result<Self, Invalid> {
        use pb::entry::Payload;
        let payload = match entry.payload {
            None => EntryPayload::Blank,
            Some(Payload::Batch(batch)) => EntryPayload::Normal(batch.try_into()?),
            Some(Payload::Membership(config)) => EntryPayload::Membership(config.into()),
        };
        let log_id = entry.log_id.ok_or(Invalid::Missing("a log id"))?.into();
        Ok(Self { log_id, payload })
    }
}

// === commands ===

impl From<&Batch> for pb::Commands {
    fn from(batch: &Batch) -> Self {
        Self {
            commands: batch.0.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Commands> for Batch {
    type Error = Invalid;

    fn try_from(batch: pb::Commands) -> Result<Self, Invalid> {
        let commands = batch.commands.into_iter().map(TryInto::try_into);
        Ok(Self(commands.collect::<Result<_, _>>()?))
    }
}

impl From<&Command> for pb::Command {
    fn from(command: &Command) -> Self {
        use pb::command::Kind;
        let kind = match command {
            Command::NodeJoined {
                node,
                name,
                address,
                boot,
            } => Kind::NodeJoined(pb::NodeJoined {
                node: node.0,
                name: name.clone(),
                address: address.clone(),
                boot: *boot,
            }),
            Command::NodeLeft { node, incarnation } => Kind::NodeLeft(pb::NodeLeft {
                node: node.0,
                incarnation: incarnation.0,
            }),
            Command::NodeExpired { node, incarnation } => Kind::NodeExpired(pb::NodeExpired {
                node: node.0,
                incarnation: incarnation.0,
            }),
            Command::NodeRemoved { node } => Kind::NodeRemoved(pb::NodeRemoved { node: node.0 }),
            Command::Changes(changes) => Kind::Changes(pb::Changes {
                node: changes.node.0,
                incarnation: changes.incarnation.0,
                sequence: changes.sequence,
                changes: changes.changes.iter().map(Into::into).collect(),
            }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<pb::Command> for Command {
    type Error = Invalid;

    fn try_from(command: pb::Command) -> Result<Self, Invalid> {
        use pb::command::Kind;
        Ok(match command.kind.ok_or(Invalid::UnknownCommand)? {
            Kind::NodeJoined(joined) => Self::NodeJoined {
                node: NodeId(joined.node),
                name: joined.name,
                address: joined.address,
                boot: joined.boot,
            },
            Kind::NodeLeft(left) => Self::NodeLeft {
                node: NodeId(left.node),
                incarnation: Incarnation(left.incarnation),
            },
            Kind::NodeExpired(expired) => Self::NodeExpired {
                node: NodeId(expired.node),
                incarnation: Incarnation(expired.incarnation),
            },
            Kind::NodeRemoved(removed) => Self::NodeRemoved {
                node: NodeId(removed.node),
            },
            Kind::Changes(changes) => Self::Changes(Changes {
                node: NodeId(changes.node),
                incarnation: Incarnation(changes.incarnation),
                sequence: changes.sequence,
                changes: changes
                    .changes
                    .into_iter()
                    .map(TryInto::try_into)
                    .collect::<Result<_, _>>()?,
            }),
        })
    }
}

impl From<&RowChange> for pb::RowChange {
    fn from(change: &RowChange) -> Self {
        use pb::row_change::Kind;
        let kind = match change {
            RowChange::Register {
                name,
                connection,
                hidden,
                claim,
            } => Kind::Register(pb::Register {
                domain: name.domain.to_string(),
                is_subdomain: name.is_subdomain,
                connection: connection.0,
                hidden: *hidden,
                claim: pb::Claim::from(*claim).into(),
            }),
            RowChange::Unregister { name, connection } => Kind::Unregister(pb::Unregister {
                domain: name.domain.to_string(),
                is_subdomain: name.is_subdomain,
                connection: connection.0,
            }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<pb::RowChange> for RowChange {
    type Error = Invalid;

    fn try_from(change: pb::RowChange) -> Result<Self, Invalid> {
        use pb::row_change::Kind;
        Ok(match change.kind.ok_or(Invalid::UnknownCommand)? {
            Kind::Register(register) => Self::Register {
                name: name(&register.domain, register.is_subdomain)?,
                connection: ConnectionId(register.connection),
                hidden: register.hidden,
                claim: claim(register.claim)?,
            },
            Kind::Unregister(unregister) => Self::Unregister {
                name: name(&unregister.domain, unregister.is_subdomain)?,
                connection: ConnectionId(unregister.connection),
            },
        })
    }
}

impl From<Claim> for pb::Claim {
    fn from(claim: Claim) -> Self {
        match claim {
            Claim::Shared => Self::Shared,
            Claim::Exclusive => Self::Exclusive,
            Claim::TakeOver => Self::TakeOver,
        }
    }
}

/// Nodes that read a claim in different ways would have different tables: an unknown one is refused.
fn claim(number: i32) -> Result<Claim, Invalid> {
    Ok(match pb::Claim::try_from(number) {
        Ok(pb::Claim::Shared) => Claim::Shared,
        Ok(pb::Claim::Exclusive) => Claim::Exclusive,
        Ok(pb::Claim::TakeOver) => Claim::TakeOver,
        Err(_) => return Err(Invalid::UnknownCommand),
    })
}

/// A name from a message. The node that wrote it has prepared the domain; preparing it again could
/// only make nodes of different versions disagree.
pub(super) fn name(domain: &str, is_subdomain: bool) -> Result<Name, Invalid> {
    let domain = Domain::from_prepared(domain).ok_or_else(|| Invalid::Domain(domain.to_owned()))?;
    Ok(Name {
        domain,
        is_subdomain,
    })
}
