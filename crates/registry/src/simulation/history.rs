use std::collections::BTreeMap;

use super::linearizability::{Cell, Operation};
use crate::ConnectionId;

/// What the components of the cluster did and saw: one history for each pair of a domain and a
/// node, since what one node holds does not depend on the others.
///
/// Time is the order of events in the run, one number for each.
#[derive(Debug, Default)]
pub(super) struct History {
    now: u64,
    cells: BTreeMap<(usize, usize), Vec<Operation>>,
}

/// An operation that has been called, to be completed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    domain: usize,
    node: usize,
    at: usize,
}

impl History {
    /// The next moment.
    pub(super) fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// An operation on what `node` holds of `domain` begins. Nobody knows whether it takes effect
    /// until [`Self::complete`].
    pub(super) fn call(&mut self, domain: usize, node: usize, action: Cell) -> Call {
        let called = self.tick();
        let operations = self.cells.entry((domain, node)).or_default();
        operations.push(Operation {
            called,
            returned: None,
            closed: None,
            precedes: None,
            action,
        });
        Call {
            domain,
            node,
            at: operations.len() - 1,
        }
    }

    /// The operation has taken effect.
    pub(super) fn complete(&mut self, call: Call) {
        let returned = self.tick();
        let Some(operations) = self.cells.get_mut(&(call.domain, call.node)) else {
            return;
        };
        operations[call.at].returned = Some(returned);
        // A node's changes take effect in order: what it asked for before comes before, or never.
        let called = operations[call.at].called;
        for before in &mut operations[..call.at] {
            if matches!(before.action, Cell::Register(_) | Cell::Unregister(_)) {
                before.precedes.get_or_insert(called);
            }
        }
    }

    /// The life of a node that was ending has ended, and the next has begun, if ever.
    pub(super) fn settle(&mut self, node: usize) {
        let now = self.tick();
        let cells = self.cells.iter_mut().filter(|((_, of), _)| *of == node);
        for operation in cells.flat_map(|(_, operations)| operations) {
            if matches!(operation.action, Cell::EndLife | Cell::Restore(_)) {
                operation.closed.get_or_insert(now);
            }
        }
    }

    /// Somebody who asked at `called` has just seen what `node` holds of `domain`.
    pub(super) fn saw(
        &mut self,
        domain: usize,
        node: usize,
        called: u64,
        holder: Option<ConnectionId>,
    ) {
        let returned = Some(self.tick());
        let operation = Operation {
            called,
            returned,
            closed: None,
            precedes: None,
            action: Cell::Read(holder),
        };
        self.cells
            .entry((domain, node))
            .or_default()
            .push(operation);
    }

    /// The connection that had or asked for the cell last.
    pub(super) fn last_connection(&self, domain: usize, node: usize) -> Option<ConnectionId> {
        let operations = self.cells.get(&(domain, node))?;
        operations
            .iter()
            .rev()
            .find_map(|operation| match operation.action {
                Cell::Register(connection) => Some(connection),
                _ => None,
            })
    }

    /// The history of each cell.
    pub(super) fn cells(&self) -> impl Iterator<Item = ((usize, usize), &[Operation])> {
        self.cells
            .iter()
            .map(|(cell, operations)| (*cell, operations.as_slice()))
    }
}
