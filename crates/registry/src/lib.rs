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
//! - `formation`, `seeds` and `admission` make members, `lifecycle` their lives, `liveness` ends
//!   them.
//! - `membership` changes who belongs to the cluster, as `roster` decides: by itself in `upkeep`,
//!   for operators in `operations`.
//! - `chronicle` tells in the log what happens in the cluster.
//! - `connected` is what this node's components hold, `vigil` compares it to what the log says.
//! - [`Registry`] is the handle that the rest of the program holds; `service` is its gRPC API.

mod address_check;
mod admission;
mod caller;
mod changing;
mod chronicle;
mod claim;
mod command;
mod config;
mod connected;
mod core;
mod data_dir;
mod dialer;
mod domain;
mod environment;
mod formation;
mod identity;
mod join_error;
mod leader_search;
mod lease;
mod lifecycle;
mod liveness;
mod log_limit;
mod losses;
mod membership;
mod opening;
mod operations;
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
mod removal;
mod replica;
mod roster;
mod routes;
mod seeds;
mod service;
#[cfg(test)]
mod simulation;
mod status;
mod table;
mod upkeep;
mod vigil;

pub use caller::{Caller, NameCheck, carries};
pub use claim::Claim;
pub use config::{Config, DEFAULT_VOTERS, Founder, OnNoQuorum, Timings};
pub use data_dir::OpenError;
pub use dialer::{Connector, Dialer, PeerAddress, PeerStream, TcpDialer};
pub use domain::{Domain, DomainError, MAX_DOMAIN_LEN};
pub use identity::ClusterId;
pub use join_error::JoinError;
pub use log_limit::LogLimit;
pub use losses::{Loss, Losses};
pub use pb::{cluster as cluster_api, registry as registry_api};
pub use peer_service::PeerServices;
pub use proposer::ProposeError;
pub use registration::{ConnectionId, Incarnation, NodeId, Registration};
pub use registry::{NewRegistration, NoQuorum, Registry};
pub use routes::{NodeEvent, NodeEvents, NodeInfo, Route, Routes};
pub use service::{API_DESCRIPTOR_SET, API_SERVICES, ApiServices};
pub use status::{ClusterStatus, NodeStatus, Role};
