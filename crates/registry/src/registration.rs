use std::fmt;

use crate::Domain;

/// A node's identity in Raft, chosen at random when its data directory is made and never used
/// again by another: a node whose data were lost comes back with another one.
///
/// Below 2^53, so that every JSON reader keeps it exact.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

/// One life of a node's process: the Raft log index at which it joined. Larger is later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u64);

/// A connection of a component, unique within one incarnation of its node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// A row of the component table: this connection of this life of this node holds this domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The component's domain, or its prefix under every served host if `is_subdomain`.
    pub domain: Domain,
    /// The node the component is connected to.
    pub node: NodeId,
    /// The node's life in which it registered.
    pub incarnation: Incarnation,
    /// The connection that holds the registration.
    pub connection: ConnectionId,
    /// Registered with `is_subdomain="true"` (contract R4).
    pub is_subdomain: bool,
    /// Left out of disco#items for users (contract H2).
    pub hidden: bool,
    /// Nobody else may hold the name (contract R3, `conflict_scope = "cluster"`).
    pub exclusive: bool,
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "N{}", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I{}", self.0)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C{}", self.0)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
