use crate::Registration;
use crate::pb::registry as pb;
use crate::table::{Change, Delta};

pub(super) fn component(registration: &Registration, node: &str) -> pb::Component {
    pb::Component {
        domain: registration.domain.to_string(),
        node: node.to_owned(),
        incarnation: registration.incarnation.0,
        is_subdomain: registration.is_subdomain,
        hidden: registration.hidden,
        connection: registration.connection.0,
        node_id: registration.node.0,
        exclusive: registration.exclusive,
    }
}

/// What a delta says about components; none if it says nothing about them.
pub(super) fn watch_response(delta: &Delta) -> Option<pb::WatchResponse> {
    let changes: Vec<pb::Change> = delta.changes.iter().filter_map(change).collect();
    (!changes.is_empty()).then_some(pb::WatchResponse {
        revision: delta.revision,
        changes,
        snapshot_end: false,
    })
}

pub(super) fn added(component: pb::Component) -> pb::Change {
    pb::Change {
        kind: pb::change::Kind::Added.into(),
        component: Some(component),
    }
}

fn change(change: &Change) -> Option<pb::Change> {
    match change {
        Change::Added {
            registration,
            node_name,
        } => Some(added(component(registration, node_name))),
        Change::Removed {
            registration,
            node_name,
        } => Some(pb::Change {
            kind: pb::change::Kind::Removed.into(),
            component: Some(component(registration, node_name)),
        }),
        Change::NodeJoined { .. } | Change::NodeGone { .. } => None,
    }
}
