use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use super::components::DOMAINS;
use super::history::History;
use super::linearizability::Cell;
use crate::raft::{LogId, Vote};
use crate::table::Table;
use crate::{ConnectionId, Incarnation, NodeId};

/// What has happened in a run: written by the nodes and the driver, read by the checks.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Samples that the checks have not seen yet.
    pub(super) samples: Vec<Sample>,
    pub(super) history: History,
    /// By domain and node: what components hold, as they were told. The history has those domains
    /// alone that nodes share.
    pub(super) connected: BTreeMap<(usize, usize), ConnectionId>,
    /// The identities of the nodes that have been seen.
    pub(super) identities: BTreeMap<usize, NodeId>,
    /// Nodes that somebody has asked to remove, by their names: their lives may end at any time, for
    /// an operator who gets no answer asks again.
    pub(super) doomed: BTreeSet<usize>,
    /// Why the run cannot go on.
    pub(super) broken: Option<String>,
    /// Everything in order, to tell whether two runs were the same.
    trace: DefaultHasher,
    events: u64,
    /// Says what happens on standard error.
    pub(super) is_loud: bool,
}

/// One look at one node.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) at: Duration,
    /// Its place in the plan.
    pub(super) node: usize,
    /// How often it has been started.
    pub(super) boot: u32,
    pub(super) id: NodeId,
    pub(super) vote: Vote,
    pub(super) leads: bool,
    pub(super) applied: Option<LogId>,
    pub(super) table: Rc<Table>,
    /// What [`crate::Registry::incarnation`] shows.
    pub(super) alive: Option<Incarnation>,
    pub(super) lease_runs: bool,
    /// The ids of the members.
    pub(super) members: BTreeSet<u64>,
    /// The ids of those that vote; more than one set of them while it changes.
    pub(super) voters: Vec<BTreeSet<u64>>,
}

impl Record {
    /// Notes an event of the run.
    pub(super) fn event(&mut self, event: fmt::Arguments<'_>) {
        let event = event.to_string();
        if self.is_loud {
            eprintln!("{event}");
        }
        event.hash(&mut self.trace);
        self.events += 1;
    }

    /// Notes that a run is broken; the first reason counts.
    pub(super) fn fail(&mut self, reason: impl Into<String>) {
        self.broken.get_or_insert_with(|| reason.into());
    }

    /// The lease of a node has ended: the cluster may end its life, and what is connected to it is
    /// registered anew then. That goes for registrations under way as well.
    pub(super) fn lease_ended(&mut self, node: usize) {
        self.event(format_args!("{} has no lease", super::node::name(node)));
        for domain in 0..DOMAINS {
            self.history.call(domain, node, Cell::EndLife);
            if let Some(held) = self.history.last_connection(domain, node) {
                self.history.call(domain, node, Cell::Restore(held));
            }
        }
    }

    /// Somebody wants a node to be removed: all that it holds may go.
    pub(super) fn doom(&mut self, node: usize) {
        self.doomed.insert(node);
        for domain in 0..DOMAINS {
            self.history.call(domain, node, Cell::EndLife);
        }
    }

    /// The life of a node that was ending has ended, and the next has begun.
    pub(super) fn settle(&mut self, node: usize) {
        self.history.settle(node);
        if self.doomed.contains(&node) {
            self.doom(node);
        }
    }

    /// A node is gone, and so are its connections.
    pub(super) fn crashed(&mut self, node: usize) {
        self.event(format_args!("{} crashes", super::node::name(node)));
        for domain in 0..DOMAINS {
            self.history.call(domain, node, Cell::EndLife);
        }
        self.connected.retain(|(_, of), _| *of != node);
    }

    /// The same for two runs that were the same.
    pub(super) fn fingerprint(&self) -> (u64, u64) {
        (self.events, self.trace.finish())
    }
}
