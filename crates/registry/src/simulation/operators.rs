//! Operators, who change the membership by way of any node.

use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::node::{Node, TICK, name};
use super::plan::Order;
use crate::Registry;
use crate::pb::peer as pb;
use crate::pb::peer::change_request::Change;

/// Carries out what the node is asked for, all at once.
pub(super) async fn serve(node: Rc<Node>, registry: Registry) {
    loop {
        while let Some(order) = node.orders.borrow_mut().pop_front() {
            spawn_local(carry_out(Rc::clone(&node), registry.clone(), order));
        }
        sleep(TICK).await;
    }
}

async fn carry_out(node: Rc<Node>, registry: Registry, order: Order) {
    let change = match order {
        Order::Promote(of) => Change::Promote(pb::PromoteNode { node: name(of) }),
        Order::Remove(of) => Change::Remove(pb::RemoveNode { node: name(of) }),
    };
    let (watcher, mut progress) = mpsc::channel(1);
    let change = registry.change(change, &watcher);
    tokio::pin!(change);
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut change => break outcome.map_err(|status| status.message().to_owned()),
            Some(said) = progress.recv() => {
                let said = said.map(|said| said.message);
                let asked = name(node.index);
                node.record
                    .borrow_mut()
                    .event(format_args!("{asked} {order:?}: {said:?}"));
            }
        }
    };
    let asked = name(node.index);
    let mut record = node.record.borrow_mut();
    record.event(format_args!("{asked} {order:?} ends: {outcome:?}"));
}
