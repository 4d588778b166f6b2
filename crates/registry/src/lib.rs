//! Which node of a cluster holds which component domain: the table, Raft around it, membership,
//! liveness and its gRPC API.
//!
//! The crate knows domains, nodes and registrations; it knows nothing of XML or of the sockets of
//! components.

mod domain;
mod registration;

pub use domain::{Domain, DomainError, MAX_DOMAIN_LEN};
pub use registration::{ConnectionId, Incarnation, NodeId, Registration};
