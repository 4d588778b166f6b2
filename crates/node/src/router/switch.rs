use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use switchyard_listener::{Delivery, Receipt, Router, Sender};
use switchyard_registry::{Domain, Registry};

use super::chain::Chain;
use super::kick_damper::KickDamper;
use super::local_components::LocalComponents;
use super::metrics::RouterMetrics;
use super::returning::Returning;
use super::session::Session;
use super::shared::Shared;
use super::undeliverable::Undeliverable;
use crate::config::Disco;
use crate::entity::Entity;
use crate::peer::Peers;

/// The heart of a node: joins its components, its links to other nodes and the registry. Cloning
/// gives another handle on the same switch.
#[derive(Clone)]
pub(crate) struct Switch {
    pub(super) shared: Arc<Shared>,
}

/// How a switch routes.
#[derive(Debug)]
pub(crate) struct SwitchConfig {
    /// `general.hosts`.
    pub(crate) hosts: Arc<[Domain]>,
    /// `general.routing_modules`.
    pub(crate) chain: Chain,
    /// How long a sender waits for a slow destination.
    pub(crate) patience: Duration,
}

impl Switch {
    /// A switch without links: [`Self::connect`] follows before any component is let in.
    pub(crate) fn new(config: SwitchConfig, registry: Registry, entity: Entity) -> Self {
        let shared = Shared {
            hosts: config.hosts,
            chain: config.chain,
            locals: LocalComponents::default(),
            life: registry.incarnation(),
            registry,
            peers: OnceLock::new(),
            entity,
            metrics: RouterMetrics::default(),
            returning: Returning::default(),
            registrations: AtomicU64::new(0),
            damper: Mutex::new(KickDamper::default()),
            patience: config.patience,
            stopping: AtomicBool::new(false),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Gives the switch its links to other nodes. Only the first call counts.
    pub(crate) fn connect(&self, peers: Arc<Peers>) {
        let _ = self.shared.peers.set(peers);
    }

    /// The router's own entity tells what `disco` says from here on.
    pub(crate) fn set_disco(&self, disco: Disco) {
        self.shared.entity.set_disco(disco);
    }

    /// The node is about to stop: senders wait for slow destinations no longer.
    pub(crate) fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
    }

    /// What became of the stanzas so far.
    pub(crate) fn metrics(&self) -> &RouterMetrics {
        &self.shared.metrics
    }

    /// How many names the components of this node hold.
    pub(crate) fn local_components(&self) -> usize {
        self.shared.locals.len()
    }
}

impl Router for Switch {
    type Session = Session;

    fn session(&self, sender: Sender) -> Session {
        Session::new(Arc::clone(&self.shared), sender)
    }

    fn undelivered(&self, mut deliveries: Vec<Delivery>) {
        // What came over a link is answered by the node that sent it, as long as that is there.
        deliveries.retain_mut(|delivery| !delivery.receipt.take().is_some_and(Receipt::lost));
        self.shared
            .answer_all(deliveries, Undeliverable::ComponentLost);
    }
}
