use std::collections::HashMap;
use std::sync::Arc;

use super::{NodeRow, Row, Table};
use crate::command::Name;
use crate::losses::Loss;
use crate::routes::{NodeInfo, Route};
use crate::{Domain, Incarnation, NodeId, Registration};

/// What the log entry `revision` changed in the table, in order. A pure function of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) revision: u64,
    pub(crate) changes: Vec<Change>,
}

/// One change of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A node holds a name.
    Added {
        registration: Registration,
        node_name: Arc<str>,
    },
    /// A node holds a name no longer.
    Removed {
        registration: Registration,
        node_name: Arc<str>,
    },
    /// A life of a node has begun.
    NodeJoined { id: NodeId, info: NodeInfo },
    /// A life of a node has ended. What it held was removed before, in the same delta.
    NodeGone {
        id: NodeId,
        incarnation: Incarnation,
        name: Arc<str>,
        ending: Ending,
    },
}

/// Why a life of a node has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It said that it leaves.
    Left,
    /// It was silent for longer than its lease.
    LeaseEnded,
    /// It has begun another life.
    Renewed,
    /// An operator has removed it for good, or a node without data has taken its name.
    Removed,
    /// It ended in a gap of the log that a snapshot has bridged.
    Unknown,
}

impl Delta {
    pub(crate) fn new(revision: u64) -> Self {
        Self {
            revision,
            changes: Vec::new(),
        }
    }

    /// Who lost a name to another node that holds it exclusively now. Of a difference between two
    /// tables as well: there it may also have lost the name in another way before.
    pub(crate) fn takeovers(&self) -> Vec<Loss> {
        let takers: HashMap<(&Domain, bool), NodeId> = self
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Added { registration, .. } if registration.exclusive => {
                    let name = (&registration.domain, registration.is_subdomain);
                    Some((name, registration.node))
                }
                _ => None,
            })
            .collect();
        if takers.is_empty() {
            return Vec::new();
        }
        let removed = self.changes.iter().filter_map(|change| match change {
            Change::Removed { registration, .. } => Some(registration),
            _ => None,
        });
        let lost = removed.filter_map(|registration| {
            let name = (&registration.domain, registration.is_subdomain);
            let by = *takers.get(&name)?;
            (by != registration.node).then(|| Loss {
                domain: registration.domain.clone(),
                is_subdomain: registration.is_subdomain,
                node: registration.node,
                connection: registration.connection,
                by: Some(by),
            })
        });
        lost.collect()
    }

    pub(super) fn push_added(&mut self, table: &Table, name: &Name, row: &Row) {
        self.changes.push(Change::Added {
            registration: table.registration(name, row),
            node_name: node_name(table, row.node),
        });
    }

    pub(super) fn push_removed(&mut self, table: &Table, name: &Name, row: &Row) {
        self.changes.push(Change::Removed {
            registration: table.registration(name, row),
            node_name: node_name(table, row.node),
        });
    }

    pub(super) fn push_joined(&mut self, id: NodeId, row: &NodeRow, incarnation: Incarnation) {
        let info = NodeInfo {
            name: Arc::clone(&row.name),
            address: Arc::clone(&row.address),
            incarnation,
        };
        self.changes.push(Change::NodeJoined { id, info });
    }

    pub(super) fn push_gone(
        &mut self,
        id: NodeId,
        incarnation: Incarnation,
        name: &Arc<str>,
        ending: Ending,
    ) {
        self.changes.push(Change::NodeGone {
            id,
            incarnation,
            name: Arc::clone(name),
            ending,
        });
    }
}

fn node_name(table: &Table, id: NodeId) -> Arc<str> {
    table
        .node(id)
        .map_or_else(|| "".into(), |row| Arc::clone(&row.name))
}

impl From<&Registration> for Route {
    fn from(registration: &Registration) -> Self {
        Self {
            node: registration.node,
            incarnation: registration.incarnation,
            connection: registration.connection,
            hidden: registration.hidden,
            exclusive: registration.exclusive,
        }
    }
}
