//! Generated from `proto/`.

/// What nodes say to each other, and the records on disk.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
pub(crate) mod peer {
    include!(concat!(env!("OUT_DIR"), "/switchyard.peer.v1.rs"));
}

/// `switchyard.registry.v1`: the component table, for programs.
#[allow(missing_docs, unused_qualifications, clippy::all)]
pub mod registry {
    include!(concat!(env!("OUT_DIR"), "/switchyard.registry.v1.rs"));
}

/// `switchyard.cluster.v1`: the nodes of the cluster, for operators.
#[allow(missing_docs, unused_qualifications, clippy::all)]
pub mod cluster {
    include!(concat!(env!("OUT_DIR"), "/switchyard.cluster.v1.rs"));
}
