use std::sync::Arc;

use switchyard_listener::Outbox;
use switchyard_registry::{Domain, Route};

use crate::peer::Destination;

/// Where the routing chain sends the stanzas for one domain.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// The router's own entity answers for this served host (contract H).
    Entity(Domain),
    /// The outbox of a component on this node.
    Local(Arc<Outbox>),
    /// Components on any node, one of which is to be chosen (contract R2). Never empty.
    Instances {
        /// What they are registered as.
        destination: Destination,
        /// One for each node that holds it.
        routes: Arc<[Route]>,
    },
}

impl Place {
    /// Whether both are the same components on other nodes.
    pub(super) fn has_routes_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Instances { routes, .. }, Self::Instances { routes: others, .. }) => {
                routes == others
            }
            _ => false,
        }
    }
}

/// What one routing module says of a domain.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is responsible: the stanza goes there.
    Take(Place),
    /// The next module decides.
    Pass,
}

/// What routing modules may ask. The node's live tables implement it; tests use maps.
pub(crate) trait Directory {
    /// Is `domain` one of `general.hosts`?
    fn serves(&self, domain: &str) -> bool;

    /// The hosts under which `is_subdomain` components are reached.
    fn hosts(&self) -> &[Domain];

    /// The outbox of the component on this node that is registered as `destination`.
    fn local(&self, destination: &Destination) -> Option<Arc<Outbox>>;

    /// The registrations of `destination` on all nodes; never an empty slice.
    fn anywhere(&self, destination: &Destination) -> Option<Arc<[Route]>>;
}
