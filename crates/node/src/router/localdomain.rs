//! `mongoose_router_localdomain`: the served hosts, for which the router itself answers.

use switchyard_registry::Domain;

use super::place::{Directory, Place, Verdict};

/// Takes what is addressed to one of `general.hosts`.
pub(super) fn route(to: &Domain, directory: &impl Directory) -> Verdict {
    if directory.serves(to.as_str()) {
        Verdict::Take(Place::Entity(to.clone()))
    } else {
        Verdict::Pass
    }
}
