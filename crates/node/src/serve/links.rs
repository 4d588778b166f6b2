use std::sync::Arc;

use switchyard_registry::{Incarnation, NodeEvent, Registry};

use crate::peer::{Life, Peer, Peers};

/// Keeps links to the nodes that the registry knows, until the registry ends.
pub(super) async fn follow(registry: Registry, peers: Arc<Peers>) {
    let mut nodes = registry.routes().subscribe_nodes();
    let mut incarnation = registry.incarnation();
    peers.set_life(life(&registry, *incarnation.borrow_and_update()));
    loop {
        tokio::select! {
            event = nodes.next() => match event {
                Some(NodeEvent::Joined { id, info }) => {
                    peers.node_joined(Peer::new(id, &info), info.address.to_string());
                }
                Some(NodeEvent::Gone { id, incarnation }) => peers.node_gone(id, incarnation),
                None => return,
            },
            changed = incarnation.changed() => {
                if changed.is_err() {
                    return;
                }
                let incarnation = *incarnation.borrow_and_update();
                peers.set_life(life(&registry, incarnation));
            }
        }
    }
}

/// A node that is in a life knows its cluster's id.
fn life(registry: &Registry, incarnation: Option<Incarnation>) -> Option<Life> {
    let (cluster, incarnation) = registry.cluster_id().zip(incarnation)?;
    Some(Life {
        cluster_id: cluster.to_string(),
        incarnation,
    })
}
