use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::{ConnectionId, Domain, NodeId};

/// A connection lost its name to another node (contract S8, `conflict_scope = "cluster"`): it was
/// taken over, or could not be registered anew because the name is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The domain, or the prefix under every served host if `is_subdomain`.
    pub domain: Domain,
    /// See [`crate::Registration::is_subdomain`].
    pub is_subdomain: bool,
    /// The node of the connection.
    pub node: NodeId,
    /// The connection.
    pub connection: ConnectionId,
    /// The node that took the name over; none if it had the name before.
    pub by: Option<NodeId>,
}

/// The losses of all nodes as this node learns of them; what it misses (after a snapshot) concerns
/// other nodes only.
#[derive(Debug)]
pub struct Losses(mpsc::UnboundedReceiver<Loss>);

/// Whom to tell about losses.
#[derive(Debug, Clone, Default)]
pub(crate) struct LossFeed {
    // Unbounded: a loss is a connection that ends, and a reader that stops reading drops its end.
    subscribers: Arc<Mutex<Vec<mpsc::UnboundedSender<Loss>>>>,
}

impl Losses {
    /// The next loss; `None` once the registry is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Loss> {
        self.0.recv().await
    }
}

impl LossFeed {
    pub(crate) fn subscribe(&self) -> Losses {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.subscribers.lock().push(sender);
        Losses(receiver)
    }

    pub(crate) fn publish(&self, loss: &Loss) {
        self.subscribers
            .lock()
            .retain(|subscriber| subscriber.send(loss.clone()).is_ok());
    }
}
