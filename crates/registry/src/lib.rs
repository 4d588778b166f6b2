//! Which node of a cluster holds which component domain: the table, Raft around it, membership,
//! liveness and its gRPC API.
//!
//! The crate knows domains, nodes and registrations; it knows nothing of XML or of the sockets of
//! components. `docs/registry.md` tells how it works. From the inside out:
//!
//! - `table` is the replicated state machine, pure; `command` is what changes it.
//! - `replica` is this node's copy of it, [`Routes`] the index that routing reads.
//! - `raft` keeps the log and the snapshots and carries them between nodes.
//! - `core` finds the leader; `proposer` batches registrations, `read_gate` linearizable reads.
//! - `formation` and `admission` make members, `lifecycle` their lives, `liveness` ends them.
//! - [`Registry`] is the handle that the rest of the program holds; `service` is its gRPC API.

mod admission;
mod command;
mod config;
mod core;
mod data_dir;
mod domain;
mod formation;
mod identity;
mod lease;
mod lifecycle;
mod liveness;
mod opening;
mod own_lease;
mod pb;
mod peer_service;
mod progress;
mod proposer;
mod quorum;
mod raft;
mod read_gate;
mod registration;
mod registry;
#[cfg(test)]
mod registry_test;
mod replica;
mod routes;
mod service;
mod status;
mod table;

pub use config::{Config, Founder, Timings};
pub use data_dir::OpenError;
pub use domain::{Domain, DomainError, MAX_DOMAIN_LEN};
pub use formation::JoinError;
pub use identity::ClusterId;
pub use pb::{cluster as cluster_api, registry as registry_api};
pub use peer_service::PeerServices;
pub use proposer::ProposeError;
pub use registration::{ConnectionId, Incarnation, NodeId, Registration};
pub use registry::{NewRegistration, NoQuorum, Registry};
pub use routes::{NodeEvent, NodeEvents, NodeInfo, Route, Routes};
pub use service::{API_DESCRIPTOR_SET, API_SERVICES, ApiServices};
pub use status::{ClusterStatus, NodeStatus, Role};
