//! Components that contend, on all nodes, for a name that one of them may hold in the cluster
//! (contract R3, S8).

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::sleep;

use super::chance::Chance;
use super::components::{DOMAINS, domain};
use super::node::{Node, name};
use crate::{Claim, ConnectionId, NewRegistration, Registry};

/// The number of the name, beside those of [`super::components`].
pub(super) const CONTESTED: usize = DOMAINS;

/// Starts those of one node. `connections` has the last id given out.
pub(super) fn start(
    node: &Rc<Node>,
    registry: &Registry,
    chance: Chance,
    connections: Rc<Cell<u64>>,
) {
    let contender = Contender {
        node: Rc::clone(node),
        registry: registry.clone(),
        connections,
    };
    spawn_local(contender.run(chance));
    spawn_local(follow_losses(Rc::clone(node), registry.clone()));
}

/// Those who connect for the name to one node, one after another.
struct Contender {
    node: Rc<Node>,
    registry: Registry,
    connections: Rc<Cell<u64>>,
}

impl Contender {
    async fn run(self, mut chance: Chance) {
        loop {
            sleep(Duration::from_millis(chance.between(100, 2000))).await;
            if !self.node.is_busy.get() {
                continue;
            }
            let place = (CONTESTED, self.node.index);
            let held = self.node.record.borrow().connected.get(&place).copied();
            match held {
                Some(held) if chance.percent(50) => self.unregister(held),
                Some(_) => {}
                None if chance.percent(50) => self.register(Claim::TakeOver).await,
                None => self.register(Claim::Exclusive).await,
            }
        }
    }

    async fn register(&self, claim: Claim) {
        let connection = ConnectionId(self.connections.get() + 1);
        self.connections.set(connection.0);
        let domain = domain(CONTESTED);
        let outcome = self
            .registry
            .register(NewRegistration {
                domain: domain.clone(),
                connection,
                is_subdomain: false,
                hidden: false,
                claim,
            })
            .await;
        // It may have been taken over already.
        let holds = outcome.is_ok() && self.registry.holds(&domain, connection, false);
        let index = self.node.index;
        let mut record = self.node.record.borrow_mut();
        record.event(format_args!(
            "{} {claim:?} {connection}: {outcome:?}, holds {holds}",
            name(index)
        ));
        if holds {
            record.connected.insert((CONTESTED, index), connection);
        }
    }

    fn unregister(&self, connection: ConnectionId) {
        let index = self.node.index;
        let mut record = self.node.record.borrow_mut();
        record.connected.remove(&(CONTESTED, index));
        record.event(format_args!("{} gives up {connection}", name(index)));
        drop(record);
        self.registry
            .unregister(&domain(CONTESTED), connection, false);
    }
}

/// Who loses the name to another node is disconnected.
async fn follow_losses(node: Rc<Node>, registry: Registry) {
    let mut losses = registry.losses();
    while let Some(loss) = losses.next().await {
        if loss.node != registry.node_id() {
            continue;
        }
        let mut record = node.record.borrow_mut();
        let place = (CONTESTED, node.index);
        if record.connected.get(&place) == Some(&loss.connection) {
            record.connected.remove(&place);
        }
        record.event(format_args!(
            "{} loses {}",
            name(node.index),
            loss.connection
        ));
    }
}
