//! Names of this node's components that another node has taken (contract S8).

use switchyard_listener::CloseReason;
use switchyard_registry::{ConnectionId, Loss, Losses};
use tokio::time::Instant;

use super::switch::Switch;
use crate::peer::Destination;

/// Closes the connections that lose their names to other nodes, until the registry ends.
pub(crate) async fn follow(mut losses: Losses, switch: Switch) {
    while let Some(loss) = losses.next().await {
        switch.lost(&loss);
    }
}

impl Switch {
    fn lost(&self, loss: &Loss) {
        let own = self.shared.own_node();
        let name = Destination {
            name: loss.domain.clone(),
            is_subdomain: loss.is_subdomain,
        };
        // Kicks by this node are counted before they happen.
        if loss.by != Some(own) {
            self.shared.damper.lock().note(&name, Instant::now());
        }
        if loss.node == own {
            self.lose(&name, loss.connection);
        }
    }

    /// Ends the connection that held `name` by `registration`, if it still does: nothing is handed
    /// to it any more.
    pub(super) fn lose(&self, name: &Destination, registration: ConnectionId) {
        let Some(holder) = self.shared.locals.release_registration(name, registration) else {
            return;
        };
        self.shared.metrics.names_lost.add(1);
        tracing::debug!(domain = %name.name, "Another node has the name, closing its connection here");
        holder.outbox.close(CloseReason::Replaced);
    }
}
