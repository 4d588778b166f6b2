//! `mongoose_router_external`: a component of that domain on any node.

use switchyard_registry::Domain;

use super::place::{Directory, Place, Verdict};
use crate::peer::Destination;

/// Takes what is addressed to a component that is connected to any node of the cluster.
pub(super) fn route(to: &Domain, directory: &impl Directory) -> Verdict {
    let destination = Destination {
        name: to.clone(),
        is_subdomain: false,
    };
    directory
        .anywhere(&destination)
        .map_or(Verdict::Pass, |routes| {
            Verdict::Take(Place::Instances {
                destination,
                routes,
            })
        })
}
