use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::table::Ending;
use crate::{Incarnation, NodeId};

/// What has happened in the cluster, as an operator reads it in the log of any node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// A node has begun a life.
    Joined {
        node: Named,
        incarnation: Incarnation,
        address: Arc<str>,
    },
    /// The life of a node has ended.
    Gone {
        node: Named,
        incarnation: Incarnation,
        ending: Ending,
        /// Registrations that went with it.
        registrations: usize,
        /// Voters that are left in a life.
        voters: Voters,
    },
    /// A node has become a member.
    MemberAdded { node: Named, is_voter: bool },
    /// A learner votes.
    Promoted { node: Named, voters: usize },
    /// A voter has become a learner.
    Demoted { node: Named, voters: usize },
    /// A node is no member any longer.
    MemberGone { node: Named, was_voter: bool },
    /// Another node leads, or the same one again after an election.
    Leads { node: Named, term: u64 },
    /// No leader is known, or so many voters do not answer that there can be none.
    QuorumLost {
        /// All of them, by name.
        voters: String,
        /// Those that do not answer, as far as this node has asked them.
        silent: String,
    },
    /// There is a leader with a majority again.
    QuorumFound {
        /// How long there was none.
        after: Duration,
    },
}

/// A node by its name and its identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    pub(crate) id: NodeId,
    pub(crate) name: Arc<str>,
}

/// How many voters are in a life, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Voters {
    pub(crate) up: usize,
    pub(crate) of: usize,
}

impl fmt::Display for Voters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.up, self.of)
    }
}

// === impl News ===

impl News {
    /// Writes one line.
    pub(super) fn log(&self) {
        match self {
            Self::Joined {
                node: Named { id, name },
                incarnation,
                address,
            } => {
                tracing::info!(node = %name, %id, %incarnation, %address, "Node joined the cluster");
            }
            Self::Gone {
                node,
                incarnation,
                ending,
                registrations,
                voters,
            } => log_gone(node, *incarnation, *ending, *registrations, *voters),
            Self::MemberAdded {
                node: Named { id, name },
                is_voter,
            } => {
                tracing::info!(node = %name, %id, role = role(*is_voter), "Node became a member");
            }
            Self::Promoted {
                node: Named { id, name },
                voters,
            } => tracing::info!(node = %name, %id, voters, "Node became a voter"),
            Self::Demoted {
                node: Named { id, name },
                voters,
            } => tracing::info!(node = %name, %id, voters, "Node votes no longer"),
            Self::MemberGone {
                node: Named { id, name },
                was_voter,
            } => {
                let was = role(*was_voter);
                tracing::info!(node = %name, %id, was, "Node is no member any longer");
            }
            Self::Leads {
                node: Named { id, name },
                term,
            } => tracing::info!(node = %name, %id, term, "Node leads the cluster"),
            Self::QuorumLost { voters, silent } => {
                tracing::warn!(
                    voters,
                    silent,
                    "Quorum lost: nothing is registered until a majority of the voters answers"
                );
            }
            Self::QuorumFound { after } => {
                tracing::info!(seconds = after.as_secs(), "Quorum found again");
            }
        }
    }
}

fn log_gone(
    Named { id, name }: &Named,
    incarnation: Incarnation,
    ending: Ending,
    registrations: usize,
    voters: Voters,
) {
    let voters_up = voters.to_string();
    match ending {
        Ending::LeaseEnded => tracing::warn!(
            node = %name, %id, %incarnation, registrations, voters_up,
            "Node is given up: it was silent for longer than its lease"
        ),
        Ending::Left => tracing::info!(
            node = %name, %id, %incarnation, registrations, voters_up,
            "Node left the cluster until its next start"
        ),
        Ending::Renewed => tracing::warn!(
            node = %name, %id, %incarnation, registrations,
            "Node starts anew without having left: its former process has died"
        ),
        Ending::Removed => tracing::warn!(
            node = %name, %id, %incarnation, registrations,
            "Node was removed for good"
        ),
        Ending::Unknown => tracing::info!(
            node = %name, %id, %incarnation, registrations,
            "Node has left or died meanwhile"
        ),
    }
}

pub(super) fn role(is_voter: bool) -> &'static str {
    match is_voter {
        true => "voter",
        false => "learner",
    }
}
