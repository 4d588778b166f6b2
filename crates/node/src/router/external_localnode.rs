//! `mongoose_router_external_localnode`: a component of that domain on this node.

use switchyard_registry::Domain;

use super::place::{Directory, Place, Verdict};
use crate::peer::Destination;

/// Takes what is addressed to a component that is connected to this node.
pub(super) fn route(to: &Domain, directory: &impl Directory) -> Verdict {
    let destination = Destination {
        name: to.clone(),
        is_subdomain: false,
    };
    directory
        .local(&destination)
        .map_or(Verdict::Pass, |local| Verdict::Take(Place::Local(local)))
}
