//! `mongoose_router_dynamic_domains`: `prefix.HOST` of `is_subdomain` components, on this node
//! first, then on any (contract R4).

use switchyard_registry::Domain;

use super::place::{Directory, Place, Verdict};
use crate::peer::Destination;

/// Takes what is addressed to a component's prefix under a served host.
pub(super) fn route(to: &Domain, directory: &impl Directory) -> Verdict {
    prefixes(to, directory.hosts())
        .find_map(|name| {
            find(
                Destination {
                    name,
                    is_subdomain: true,
                },
                directory,
            )
        })
        .map_or(Verdict::Pass, Verdict::Take)
}

fn find(destination: Destination, directory: &impl Directory) -> Option<Place> {
    if let Some(local) = directory.local(&destination) {
        return Some(Place::Local(local));
    }
    let routes = directory.anywhere(&destination)?;
    Some(Place::Instances {
        destination,
        routes,
    })
}

/// What stands before `.HOST` in `domain`, for each host that it ends in.
pub(super) fn prefixes(domain: &Domain, hosts: &[Domain]) -> impl Iterator<Item = Domain> {
    hosts.iter().filter_map(|host| {
        let prefix = domain
            .as_str()
            .strip_suffix(host.as_str())?
            .strip_suffix('.')?;
        Domain::prepare(prefix).ok()
    })
}
