use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::command::Name;
use crate::table::{Change, Delta, Table};
use crate::{ConnectionId, Domain, Incarnation, NodeId, Registration};

/// The read side of the component table, for routing: this node's copy, as far as it has applied
/// the log. Reading never waits for Raft.
#[derive(Debug, Default)]
pub struct Routes {
    generation: AtomicU64,
    domains: DashMap<Domain, Arc<[Route]>>,
    prefixes: DashMap<Domain, Arc<[Route]>>,
    /// Registrations in both.
    count: AtomicUsize,
    nodes: Mutex<Nodes>,
}

/// One holder of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The node the component is connected to.
    pub node: NodeId,
    /// The node's life in which it registered.
    pub incarnation: Incarnation,
    /// The connection that holds the registration.
    pub connection: ConnectionId,
    /// Left out of disco#items for users (contract H2).
    pub hidden: bool,
    /// Nobody else may hold the name (contract R3, `conflict_scope = "cluster"`).
    pub exclusive: bool,
}

/// A node in its present life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeInfo {
    /// Its `node.name`.
    pub name: Arc<str>,
    /// Where its peers reach it, `host:port`.
    pub address: Arc<str>,
    /// Its present life.
    pub incarnation: Incarnation,
}

/// A life of a node begins or ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEvent {
    /// The node has joined, perhaps anew under another incarnation; then [`Self::Gone`] of the
    /// former one came first.
    Joined {
        /// The node.
        id: NodeId,
        /// Its name, address and incarnation.
        info: NodeInfo,
    },
    /// The node has left or expired, or a new life of it begins: nothing of this incarnation will
    /// ever be routable again.
    Gone {
        /// The node.
        id: NodeId,
        /// The life that has ended.
        incarnation: Incarnation,
    },
}

/// The nodes that are joined, as events. Starts with a [`NodeEvent::Joined`] for each that is.
#[derive(Debug)]
pub struct NodeEvents(mpsc::UnboundedReceiver<NodeEvent>);

#[derive(Debug, Default)]
struct Nodes {
    joined: BTreeMap<NodeId, NodeInfo>,
    /// Unbounded: an event is a node that comes or goes, and a reader that stops reading drops its
    /// end.
    subscribers: Vec<mpsc::UnboundedSender<NodeEvent>>,
}

// === impl Routes ===

impl Routes {
    /// Goes up with each change of the table: an answer is good as long as the generation read
    /// *before* asking for it stays.
    #[must_use]
    pub fn generation(&self) -> u64 {
        // Pairs with the release in `apply`: who sees a generation sees what it changed.
        self.generation.load(Ordering::Acquire)
    }

    /// Who holds `domain`, a prepared domain. Never empty.
    #[must_use]
    pub fn lookup(&self, domain: &str) -> Option<Arc<[Route]>> {
        self.domains.get(domain).map(|routes| Arc::clone(&routes))
    }

    /// Who holds `prefix` under every served host (contract R4). Never empty.
    #[must_use]
    pub fn lookup_prefix(&self, prefix: &str) -> Option<Arc<[Route]>> {
        self.prefixes.get(prefix).map(|routes| Arc::clone(&routes))
    }

    /// A node that is joined.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<NodeInfo> {
        self.nodes.lock().joined.get(&id).cloned()
    }

    /// How many registrations there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Every registration, in no order and not as of one moment: enough for disco#items.
    #[must_use]
    pub fn list(&self) -> Vec<Registration> {
        let mut all = Vec::with_capacity(self.count());
        for (index, is_subdomain) in [(&self.domains, false), (&self.prefixes, true)] {
            for entry in index {
                let domain = entry.key();
                all.extend(entry.value().iter().map(|route| Registration {
                    domain: domain.clone(),
                    node: route.node,
                    incarnation: route.incarnation,
                    connection: route.connection,
                    is_subdomain,
                    hidden: route.hidden,
                    exclusive: route.exclusive,
                }));
            }
        }
        all
    }

    /// Follows which nodes are joined.
    #[must_use]
    pub fn subscribe_nodes(&self) -> NodeEvents {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut nodes = self.nodes.lock();
        for (id, info) in &nodes.joined {
            let event = NodeEvent::Joined {
                id: *id,
                info: info.clone(),
            };
            // The receiver is at hand: sending cannot fail.
            let _ = sender.send(event);
        }
        nodes.subscribers.push(sender);
        NodeEvents(receiver)
    }

    /// Follows `delta`, after which the table is `table`.
    pub(crate) fn apply(&self, table: &Table, delta: &Delta) {
        for change in &delta.changes {
            match change {
                Change::Added { registration, .. } | Change::Removed { registration, .. } => {
                    self.refresh(table, registration);
                }
                Change::NodeJoined { id, info } => self.nodes.lock().join(*id, info),
                Change::NodeGone {
                    id, incarnation, ..
                } => self.nodes.lock().end(*id, *incarnation),
            }
        }
        if !delta.changes.is_empty() {
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    fn refresh(&self, table: &Table, registration: &Registration) {
        let name = Name {
            domain: registration.domain.clone(),
            is_subdomain: registration.is_subdomain,
        };
        let index = if name.is_subdomain {
            &self.prefixes
        } else {
            &self.domains
        };
        let routes: Arc<[Route]> = table
            .holders(&name)
            .iter()
            .map(|row| Route::from(&table.registration(&name, row)))
            .collect();
        let after = routes.len();
        let before = if routes.is_empty() {
            index.remove(&name.domain).map(|(_, routes)| routes)
        } else {
            index.insert(name.domain, routes)
        };
        let before = before.map_or(0, |routes| routes.len());
        // Written by one task: the state machine's.
        let count = self.count() + after - before;
        self.count.store(count, Ordering::Relaxed);
    }
}

// === impl Nodes ===

impl Nodes {
    fn join(&mut self, id: NodeId, info: &NodeInfo) {
        self.joined.insert(id, info.clone());
        self.publish(&NodeEvent::Joined {
            id,
            info: info.clone(),
        });
    }

    fn end(&mut self, id: NodeId, incarnation: Incarnation) {
        self.joined.remove(&id);
        self.publish(&NodeEvent::Gone { id, incarnation });
    }

    fn publish(&mut self, event: &NodeEvent) {
        self.subscribers
            .retain(|subscriber| subscriber.send(event.clone()).is_ok());
    }
}

// === impl NodeEvents ===

impl NodeEvents {
    /// The next event; `None` once the registry is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        self.0.recv().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Claim;
    use crate::command::{Changes, Command, RowChange};

    /// Applies `command` at log index `revision`.
    fn apply(routes: &Routes, table: &mut Table, revision: u64, command: &Command) {
        let mut delta = Delta::new(revision);
        table.apply(revision, command, &mut delta);
        routes.apply(table, &delta);
        assert_eq!(routes.count(), routes.list().len(), "{command:?}");
    }

    #[test]
    fn the_count_follows_every_kind_of_change() {
        let (routes, mut table) = (Routes::default(), Table::default());
        let joined = |node| Command::NodeJoined {
            node: NodeId(node),
            name: format!("n{node}"),
            address: String::new(),
            boot: 1,
        };
        apply(&routes, &mut table, 1, &joined(1));
        apply(&routes, &mut table, 2, &joined(2));
        let name = |is_subdomain| Name {
            domain: Domain::prepare("a.example").unwrap(),
            is_subdomain,
        };
        let register = |is_subdomain, connection| RowChange::Register {
            name: name(is_subdomain),
            connection: ConnectionId(connection),
            hidden: false,
            claim: Claim::Shared,
        };
        let unregister = RowChange::Unregister {
            name: name(false),
            connection: ConnectionId(3),
        };
        let changes = |node, sequence, change| {
            Command::Changes(Changes {
                node: NodeId(node),
                incarnation: Incarnation(node),
                sequence,
                changes: vec![change],
            })
        };
        // Two holders, a prefix, a newer connection of a holder, one holder less.
        apply(&routes, &mut table, 3, &changes(1, 1, register(false, 1)));
        apply(&routes, &mut table, 4, &changes(2, 1, register(false, 1)));
        apply(&routes, &mut table, 5, &changes(2, 2, register(true, 2)));
        apply(&routes, &mut table, 6, &changes(1, 2, register(false, 3)));
        assert_eq!(routes.count(), 3);
        apply(&routes, &mut table, 7, &changes(1, 3, unregister));
        assert_eq!(routes.count(), 2);
        let left = Command::NodeLeft {
            node: NodeId(2),
            incarnation: Incarnation(2),
        };
        apply(&routes, &mut table, 8, &left);
        assert_eq!(routes.count(), 0);
    }
}
