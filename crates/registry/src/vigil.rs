use tokio::sync::broadcast::error::RecvError;

use crate::command::Name;
use crate::connected::Connected;
use crate::core::Core;
use crate::lifecycle::Lifecycle;
use crate::losses::LossFeed;
use crate::table::{Change, Delta};

/// Watches what the log does to the registrations of this node: tells who lost its name to another
/// node, and has what is missing registered anew.
pub(crate) struct Vigil {
    pub(crate) core: Core,
    pub(crate) connected: Connected,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) losses: LossFeed,
}

impl Vigil {
    /// Keeps watch. Ends with the table.
    pub(crate) async fn keep(self) {
        let mut deltas = self.core.replica.deltas();
        loop {
            match deltas.recv().await {
                Ok(delta) => self.see(&delta),
                Err(RecvError::Lagged(_)) => self.lifecycle.republish(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn has_ended_own_life(&self, delta: &Delta) -> bool {
        let own = self.core.id();
        let is_own = |change: &Change| matches!(change, Change::NodeGone { id, .. } if *id == own);
        delta.changes.iter().any(is_own)
    }

    fn see(&self, delta: &Delta) {
        let own = self.core.id();
        for loss in delta.takeovers() {
            if loss.node == own {
                let name = Name {
                    domain: loss.domain.clone(),
                    is_subdomain: loss.is_subdomain,
                };
                self.connected.remove(&name, loss.connection);
            }
            self.losses.publish(&loss);
        }
        if self.has_ended_own_life(delta) {
            // The next one registers everything anew.
            return;
        }
        // An attempt that was given up and undone after another had succeeded, or a gap that a
        // snapshot bridged: who is still connected must be in the table.
        let is_missing = |change: &Change| match change {
            Change::Removed { registration, .. } if registration.node == own => {
                let name = Name {
                    domain: registration.domain.clone(),
                    is_subdomain: registration.is_subdomain,
                };
                self.connected.has(&name, registration.connection)
            }
            _ => false,
        };
        if delta.changes.iter().any(is_missing) {
            self.lifecycle.republish();
        }
    }
}
