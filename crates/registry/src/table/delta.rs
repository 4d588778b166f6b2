use std::sync::Arc;

use super::{NodeRow, Row, Table};
use crate::command::Name;
use crate::routes::{NodeInfo, Route};
use crate::{Incarnation, NodeId, Registration};

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
    /// A life of a node has ended.
    NodeGone {
        id: NodeId,
        incarnation: Incarnation,
    },
}

impl Delta {
    pub(crate) fn new(revision: u64) -> Self {
        Self {
            revision,
            changes: Vec::new(),
        }
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

    pub(super) fn push_gone(&mut self, id: NodeId, incarnation: Incarnation) {
        self.changes.push(Change::NodeGone { id, incarnation });
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
        }
    }
}
