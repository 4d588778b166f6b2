mod delta;
#[cfg(test)]
mod model_test;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(crate) use self::delta::{Change, Delta, Ending};
use crate::command::{Changes, Command, Name, RowChange};
use crate::{Claim, ConnectionId, Incarnation, NodeId, Registration};

/// The replicated state machine: which node is in which life, and which domains it holds.
///
/// Pure and deterministic: the same commands at the same log indexes give the same table and the
/// same deltas on every node.
///
/// Invariants: a row's node is joined and the row belongs to its present incarnation; a node holds
/// a name once; who holds a name exclusively is its only holder; no two nodes share a name of their
/// own; no node is among the removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    nodes: BTreeMap<NodeId, NodeRow>,
    /// Never an empty vector; sorted by node.
    rows: BTreeMap<Name, Vec<Row>>,
    /// The names that each node holds: derived from `rows`.
    held: BTreeMap<NodeId, BTreeSet<Name>>,
    /// Identities that never come back, with the names that their nodes had.
    removed: BTreeMap<NodeId, Arc<str>>,
}

/// A node that the table knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeRow {
    pub(crate) name: Arc<str>,
    pub(crate) address: Arc<str>,
    /// Counts its lives.
    pub(crate) boot: u64,
    /// Its present life; none after it has left or expired.
    pub(crate) incarnation: Option<Incarnation>,
    /// Sequence of the last [`Changes`] of its present life.
    pub(crate) sequence: u64,
}

/// A node holds a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) node: NodeId,
    pub(crate) connection: ConnectionId,
    pub(crate) hidden: bool,
    /// Nobody else may hold the name (contract R3, `conflict_scope = "cluster"`).
    pub(crate) exclusive: bool,
}

// === reading ===

impl Table {
    pub(crate) fn node(&self, id: NodeId) -> Option<&NodeRow> {
        self.nodes.get(&id)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodeRow)> {
        self.nodes.iter().map(|(id, row)| (*id, row))
    }

    /// True if the identity never comes back: its node was removed, or lost its data.
    pub(crate) fn is_removed(&self, id: NodeId) -> bool {
        self.removed.contains_key(&id)
    }

    /// The identities that never come back, with the names that their nodes had.
    pub(crate) fn removed(&self) -> impl Iterator<Item = (NodeId, &Arc<str>)> {
        self.removed.iter().map(|(id, name)| (*id, name))
    }

    /// The holders of a name, sorted by node.
    pub(crate) fn holders(&self, name: &Name) -> &[Row] {
        self.rows.get(name).map_or(&[], Vec::as_slice)
    }

    /// The row by which `node` holds `name`.
    pub(crate) fn row(&self, name: &Name, node: NodeId) -> Option<&Row> {
        let rows = self.holders(name);
        rows.binary_search_by_key(&node, |row| row.node)
            .ok()
            .map(|at| &rows[at])
    }

    /// All names from `start` on, in order, with their holders.
    pub(crate) fn names_from(&self, start: &Name) -> impl Iterator<Item = (&Name, &[Row])> {
        self.rows
            .range(start..)
            .map(|(name, rows)| (name, rows.as_slice()))
    }

    /// All names in order, with their holders.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&Name, &[Row])> {
        self.rows.iter().map(|(name, rows)| (name, rows.as_slice()))
    }

    /// A row as others see it.
    pub(crate) fn registration(&self, name: &Name, row: &Row) -> Registration {
        // A row outlives neither its node nor its node's life (see the invariants).
        let incarnation = self.node(row.node).and_then(|node| node.incarnation);
        Registration {
            domain: name.domain.clone(),
            node: row.node,
            incarnation: incarnation.unwrap_or(Incarnation(0)),
            connection: row.connection,
            is_subdomain: name.is_subdomain,
            hidden: row.hidden,
            exclusive: row.exclusive,
        }
    }
}

// === applying ===

impl Table {
    /// Applies the command of log index `revision` and says in `delta` what it changed.
    pub(crate) fn apply(&mut self, revision: u64, command: &Command, delta: &mut Delta) {
        match command {
            Command::NodeJoined {
                node,
                name,
                address,
                boot,
            } => self.join(Incarnation(revision), *node, (name, address), *boot, delta),
            Command::NodeLeft { node, incarnation } => {
                self.end_if_current(*node, *incarnation, Ending::Left, delta);
            }
            Command::NodeExpired { node, incarnation } => {
                self.end_if_current(*node, *incarnation, Ending::LeaseEnded, delta);
            }
            Command::NodeRemoved { node } => self.remove(*node, delta),
            Command::Changes(changes) => self.change(changes, delta),
        }
    }

    /// True while `incarnation` is the present life of `node`.
    pub(crate) fn is_current(&self, node: NodeId, incarnation: Incarnation) -> bool {
        self.node(node)
            .is_some_and(|row| row.incarnation == Some(incarnation))
    }

    fn join(
        &mut self,
        incarnation: Incarnation,
        node: NodeId,
        (name, address): (&str, &str),
        boot: u64,
        delta: &mut Delta,
    ) {
        if self.is_removed(node) || self.node(node).is_some_and(|row| row.boot >= boot) {
            return;
        }
        self.end_life(node, Ending::Renewed, delta);
        self.forget_namesakes(node, name, delta);
        let row = NodeRow {
            name: name.into(),
            address: address.into(),
            boot,
            incarnation: Some(incarnation),
            sequence: 0,
        };
        delta.push_joined(node, &row, incarnation);
        self.nodes.insert(node, row);
    }

    /// A node that lost its data comes back with another id under its old name.
    fn forget_namesakes(&mut self, node: NodeId, name: &str, delta: &mut Delta) {
        let namesakes: Vec<NodeId> = self
            .nodes()
            .filter(|(id, row)| *id != node && &*row.name == name)
            .map(|(id, _)| id)
            .collect();
        for id in namesakes {
            self.remove(id, delta);
        }
    }

    /// Forgets a node for good. One that never joined is noted all the same: it must not.
    fn remove(&mut self, node: NodeId, delta: &mut Delta) {
        self.end_life(node, Ending::Removed, delta);
        let row = self.nodes.remove(&node);
        let name = row.map_or_else(|| "".into(), |row| row.name);
        self.removed.entry(node).or_insert(name);
    }

    fn end_if_current(
        &mut self,
        node: NodeId,
        incarnation: Incarnation,
        ending: Ending,
        delta: &mut Delta,
    ) {
        if self.is_current(node, incarnation) {
            self.end_life(node, ending, delta);
        }
    }

    /// Ends the present life of a node, if it is in one, and removes what it holds.
    fn end_life(&mut self, node: NodeId, ending: Ending, delta: &mut Delta) {
        for name in self.held.remove(&node).unwrap_or_default() {
            self.remove_row(&name, node, delta);
        }
        let Some(row) = self.nodes.get_mut(&node) else {
            return;
        };
        if let Some(incarnation) = row.incarnation.take() {
            delta.push_gone(node, incarnation, &row.name, ending);
        }
    }

    fn change(&mut self, changes: &Changes, delta: &mut Delta) {
        let Some(node) = self.nodes.get_mut(&changes.node) else {
            return;
        };
        if node.incarnation != Some(changes.incarnation) || changes.sequence <= node.sequence {
            return;
        }
        node.sequence = changes.sequence;
        for change in &changes.changes {
            match change {
                RowChange::Register {
                    name,
                    connection,
                    hidden,
                    claim,
                } => {
                    let row = Row {
                        node: changes.node,
                        connection: *connection,
                        hidden: *hidden,
                        exclusive: claim.is_exclusive(),
                    };
                    if self.is_superseded(name, &row) {
                        continue;
                    }
                    if *claim == Claim::TakeOver {
                        self.take_from_others(name, row.node, delta);
                    }
                    self.register(name, row, delta);
                }
                RowChange::Unregister { name, connection } => {
                    self.unregister(name, changes.node, *connection, delta);
                }
            }
        }
    }

    /// A newer connection of the same node holds the name.
    fn is_superseded(&self, name: &Name, row: &Row) -> bool {
        self.row(name, row.node)
            .is_some_and(|present| present.connection > row.connection)
    }

    /// Another node holds the name, and one of the two does not share it.
    fn is_denied(&self, name: &Name, row: &Row) -> bool {
        self.holders(name)
            .iter()
            .any(|other| other.node != row.node && (row.exclusive || other.exclusive))
    }

    fn take_from_others(&mut self, name: &Name, node: NodeId, delta: &mut Delta) {
        let others: Vec<NodeId> = self.holders(name).iter().map(|row| row.node).collect();
        for other in others.into_iter().filter(|other| *other != node) {
            self.drop_row(name, other, delta);
        }
    }

    fn register(&mut self, name: &Name, row: Row, delta: &mut Delta) {
        if self.is_denied(name, &row) {
            return;
        }
        if let Some(present) = self.row(name, row.node) {
            if present.connection > row.connection || *present == row {
                return;
            }
            self.remove_row(name, row.node, delta);
        }
        // Most names have one holder.
        let rows = self.rows.entry(name.clone());
        let rows = rows.or_insert_with(|| Vec::with_capacity(1));
        let at = rows.partition_point(|present| present.node < row.node);
        rows.insert(at, row);
        self.held.entry(row.node).or_default().insert(name.clone());
        delta.push_added(self, name, &row);
    }

    fn unregister(
        &mut self,
        name: &Name,
        node: NodeId,
        connection: ConnectionId,
        delta: &mut Delta,
    ) {
        let holds = self
            .row(name, node)
            .is_some_and(|row| row.connection == connection);
        if holds {
            self.drop_row(name, node, delta);
        }
    }

    /// Removes a row from `rows` and from `held`.
    fn drop_row(&mut self, name: &Name, node: NodeId, delta: &mut Delta) {
        self.remove_row(name, node, delta);
        if let Some(held) = self.held.get_mut(&node) {
            held.remove(name);
            if held.is_empty() {
                self.held.remove(&node);
            }
        }
    }

    /// Removes a row from `rows`; `held` is up to the caller.
    fn remove_row(&mut self, name: &Name, node: NodeId, delta: &mut Delta) {
        let Some(row) = self.row(name, node).copied() else {
            return;
        };
        delta.push_removed(self, name, &row);
        if let Some(rows) = self.rows.get_mut(name) {
            rows.retain(|row| row.node != node);
            if rows.is_empty() {
                self.rows.remove(name);
            }
        }
    }
}

// === snapshots ===

impl Table {
    /// Puts a table together again from what [`Self::nodes`] and [`Self::names`] listed. Rows
    /// that break an invariant are left out; they cannot come from a table.
    pub(crate) fn restore(
        nodes: impl IntoIterator<Item = (NodeId, NodeRow)>,
        rows: impl IntoIterator<Item = (Name, Row)>,
    ) -> Self {
        let mut table = Self {
            nodes: nodes.into_iter().collect(),
            ..Self::default()
        };
        let mut ignored = Delta::new(0);
        for (name, row) in rows {
            let joined = table
                .node(row.node)
                .is_some_and(|node| node.incarnation.is_some());
            if joined {
                table.register(&name, row, &mut ignored);
            }
        }
        table
    }

    /// Puts back what [`Self::removed`] listed.
    pub(crate) fn restore_removed(
        &mut self,
        removed: impl IntoIterator<Item = (NodeId, Arc<str>)>,
    ) {
        self.removed.extend(removed);
    }

    /// What turns `self` into `newer`, a table of log index `revision`.
    pub(crate) fn difference(&self, newer: &Self, revision: u64) -> Delta {
        let mut delta = Delta::new(revision);
        for (name, rows) in self.names() {
            for row in rows.iter().filter(|row| !newer.holds(self, name, row)) {
                delta.push_removed(self, name, row);
            }
        }
        for (id, row) in self.nodes() {
            let Some(incarnation) = row.incarnation else {
                continue;
            };
            if !newer.is_current(id, incarnation) {
                let ending = match newer.is_removed(id) {
                    true => Ending::Removed,
                    false => Ending::Unknown,
                };
                delta.push_gone(id, incarnation, &row.name, ending);
            }
        }
        for (id, row) in newer.nodes() {
            let Some(incarnation) = row.incarnation else {
                continue;
            };
            if !self.is_current(id, incarnation) {
                delta.push_joined(id, row, incarnation);
            }
        }
        for (name, rows) in newer.names() {
            for row in rows.iter().filter(|row| !self.holds(newer, name, row)) {
                delta.push_added(newer, name, row);
            }
        }
        delta
    }

    /// True if `self` has `row` of `other` in the same life of its node.
    fn holds(&self, other: &Self, name: &Name, row: &Row) -> bool {
        let life = |table: &Self| table.node(row.node).and_then(|node| node.incarnation);
        self.row(name, row.node) == Some(row) && life(self) == life(other)
    }
}
