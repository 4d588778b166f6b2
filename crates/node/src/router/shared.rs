use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use switchyard_listener::Outbox;
use switchyard_registry::{Domain, Incarnation, NodeId, Registry, Route};
use tokio::sync::watch;

use super::chain::Chain;
use super::kick_damper::KickDamper;
use super::local_components::LocalComponents;
use super::metrics::RouterMetrics;
use super::place::{Directory, Place};
use super::returning::Returning;
use crate::entity::Entity;
use crate::peer::{Destination, Peers};

/// What all connections of a node route by.
pub(crate) struct Shared {
    /// `general.hosts`, prepared.
    pub(super) hosts: Arc<[Domain]>,
    /// `general.routing_modules`.
    pub(super) chain: Chain,
    /// The components of this node.
    pub(super) locals: LocalComponents,
    /// The components of the cluster.
    pub(super) registry: Registry,
    /// This node's present life, while its lease runs.
    pub(super) life: watch::Receiver<Option<Incarnation>>,
    /// The other nodes; set once, right after construction, because links deliver to the switch.
    pub(super) peers: OnceLock<Arc<Peers>>,
    /// Answers for `hosts`.
    pub(super) entity: Entity,
    /// What became of the stanzas.
    pub(super) metrics: RouterMetrics,
    /// What links have brought back.
    pub(super) returning: Returning,
    /// Counts registrations, see [`super::local_components::Holder`].
    pub(super) registrations: AtomicU64,
    /// Fights over names under `kick_old`.
    pub(super) damper: Mutex<KickDamper>,
    /// How long a sender waits for a slow destination before its stanza is answered with
    /// `resource-constraint` (contract D3).
    pub(super) patience: Duration,
    /// The node stops: nobody begins to wait any more.
    pub(super) stopping: AtomicBool,
}

/// What a connection's remembered destinations depend on: equal values mean that every answer of
/// [`Shared::resolve`] is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation {
    locals: u64,
    routes: u64,
}

impl Shared {
    /// This node.
    pub(super) fn own_node(&self) -> NodeId {
        self.registry.node_id()
    }

    /// How long to wait for room now.
    pub(super) fn patience(&self) -> Duration {
        if self.stopping.load(Ordering::Relaxed) {
            Duration::ZERO
        } else {
            self.patience
        }
    }

    /// See [`Generation`].
    pub(super) fn generation(&self) -> Generation {
        Generation {
            locals: self.locals.generation(),
            routes: self.registry.routes().generation(),
        }
    }

    /// Where stanzas for `domain` go as far as this node knows.
    pub(super) fn resolve(&self, domain: &Domain) -> Option<Place> {
        self.chain.resolve(domain, self)
    }
}

impl Directory for Shared {
    fn serves(&self, domain: &str) -> bool {
        self.hosts.iter().any(|host| host.as_str() == domain)
    }

    fn hosts(&self) -> &[Domain] {
        &self.hosts
    }

    fn local(&self, destination: &Destination) -> Option<Arc<Outbox>> {
        self.locals.get(destination)
    }

    fn anywhere(&self, destination: &Destination) -> Option<Arc<[Route]>> {
        let routes = self.registry.routes();
        let name = destination.name.as_str();
        let found = match destination.is_subdomain {
            true => routes.lookup_prefix(name),
            false => routes.lookup(name),
        }?;
        // Whether a component of this node is still there, this node knows before its table.
        let own = self.own_node();
        let is_stale = |route: &Route| route.node == own && self.locals.get(destination).is_none();
        let found = match found.iter().any(is_stale) {
            true => found
                .iter()
                .copied()
                .filter(|route| !is_stale(route))
                .collect(),
            false => found,
        };
        Some(found).filter(|routes| !routes.is_empty())
    }
}
