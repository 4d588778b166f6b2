//! The components of a node: they come, go and replace each other, and somebody looks on.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};

use super::chance::Chance;
use super::contenders;
use super::linearizability::Cell as Action;
use super::node::{Node, TICK, name};
use crate::{Claim, ConnectionId, Domain, NewRegistration, NodeId, Registry};

/// Domains that components of all nodes may hold at the same time.
pub(super) const DOMAINS: usize = 3;

/// The name of a domain.
pub(super) fn domain(index: usize) -> Domain {
    Domain::prepare(&format!("d{index}.example")).unwrap()
}

/// Starts the components of a node, and its reader.
pub(super) fn start(node: &Rc<Node>, registry: &Registry, chance: &Chance) {
    node.record.borrow_mut().settle(node.index);
    let connections = Rc::new(Cell::new(0));
    for domain in 0..DOMAINS {
        let component = Component {
            node: Rc::clone(node),
            registry: registry.clone(),
            chance: chance.fork(2 + domain as u64),
            domain,
            connections: Rc::clone(&connections),
        };
        spawn_local(component.run());
    }
    contenders::start(node, registry, chance.fork(100), connections);
    spawn_local(read(Rc::clone(node), registry.clone(), chance.fork(1)));
    spawn_local(follow_lease(Rc::clone(node), registry.clone()));
}

/// Those who connect for one domain to one node, one after another.
struct Component {
    node: Rc<Node>,
    registry: Registry,
    chance: Chance,
    domain: usize,
    /// Last id given out.
    connections: Rc<Cell<u64>>,
}

impl Component {
    async fn run(mut self) {
        loop {
            sleep(Duration::from_millis(self.chance.between(50, 1000))).await;
            if !self.node.is_busy.get() {
                continue;
            }
            let held = self.held();
            match (held, self.chance.below(4)) {
                (Some(held), 0 | 1) => self.unregister(held),
                (Some(held), 2) => {
                    self.register().await;
                    // The end of the connection that was replaced is noticed late.
                    self.unregister(held);
                }
                (Some(_), _) => {}
                (None, _) => self.register().await,
            }
        }
    }

    fn held(&self) -> Option<ConnectionId> {
        let record = self.node.record.borrow();
        record.connected.get(&self.place()).copied()
    }

    /// Which registration this is: of which domain, on which node.
    fn place(&self) -> (usize, usize) {
        (self.domain, self.node.index)
    }

    async fn register(&self) {
        let connection = ConnectionId(self.connections.get() + 1);
        self.connections.set(connection.0);
        let call = {
            let mut record = self.node.record.borrow_mut();
            let (at, node) = self.place();
            if self.node.lost_lease_lately() {
                // The life may end as soon as this is registered, and the next begins with it.
                record.history.call(at, node, Action::EndLife);
                record.history.call(at, node, Action::Restore(connection));
            }
            record.history.call(at, node, Action::Register(connection))
        };
        let outcome = self
            .registry
            .register(NewRegistration {
                domain: domain(self.domain),
                connection,
                is_subdomain: false,
                hidden: false,
                claim: Claim::Shared,
            })
            .await;
        let mut record = self.node.record.borrow_mut();
        record.event(format_args!(
            "{} register {} {connection}: {outcome:?}",
            name(self.node.index),
            self.domain
        ));
        match outcome {
            Ok(()) => {
                record.history.complete(call);
                record.connected.insert(self.place(), connection);
            }
            Err(_) => {
                // Undone, if it was ever done.
                let undone = Action::Unregister(connection);
                let (at, node) = self.place();
                record.history.call(at, node, undone);
            }
        }
    }

    fn unregister(&self, connection: ConnectionId) {
        let mut record = self.node.record.borrow_mut();
        let action = Action::Unregister(connection);
        let (at, node) = self.place();
        record.history.call(at, node, action);
        if record.connected.get(&self.place()) == Some(&connection) {
            record.connected.remove(&self.place());
        }
        record.event(format_args!(
            "{} unregister {} {connection}",
            name(self.node.index),
            self.domain
        ));
        drop(record);
        let domain = domain(self.domain);
        self.registry.unregister(&domain, connection, false);
    }
}

/// Looks domains up, linearizably.
async fn read(node: Rc<Node>, registry: Registry, mut chance: Chance) {
    loop {
        sleep(Duration::from_millis(chance.between(50, 500))).await;
        let at = chance.index(DOMAINS);
        let called = node.record.borrow_mut().history.tick();
        if registry.confirm().await.is_err() {
            continue;
        }
        let holders = holders(&registry, at);
        let mut record = node.record.borrow_mut();
        record.event(format_args!("{} sees {at}: {holders:?}", name(node.index)));
        let identities = record.identities.clone();
        for (index, id) in identities {
            let holder = holders.iter().find(|(node, _)| *node == id);
            let holder = holder.map(|(_, connection)| *connection);
            record.history.saw(at, index, called, holder);
        }
    }
}

fn holders(registry: &Registry, at: usize) -> Vec<(NodeId, ConnectionId)> {
    let routes = registry.routes().lookup(domain(at).as_str());
    let routes = routes.as_deref().unwrap_or_default();
    let holders = routes.iter().map(|route| (route.node, route.connection));
    holders.collect()
}

/// While the lease does not run, the cluster may end the node's life at any time, and what is
/// connected is registered anew afterwards.
async fn follow_lease(node: Rc<Node>, registry: Registry) {
    let (mut ran, mut was_late) = (false, false);
    loop {
        let runs = registry.lease_runs();
        if ran && !runs {
            node.record.borrow_mut().lease_ended(node.index);
        }
        if !runs {
            node.without_lease_at.set(Some(Instant::now()));
        }
        ran = runs;
        if was_late && !node.lost_lease_lately() {
            node.record.borrow_mut().settle(node.index);
        }
        was_late = node.lost_lease_lately();
        sleep(TICK).await;
    }
}
