//! The messages of `proto/switchyard/peer/v1/link.proto`.

#![allow(
    clippy::all,
    elided_lifetimes_in_paths,
    missing_docs,
    trivial_numeric_casts,
    unreachable_pub,
    unused_qualifications,
    reason = "generated code"
)]

tonic::include_proto!("switchyard.peer.v1");
