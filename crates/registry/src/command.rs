use crate::{Claim, ConnectionId, Domain, Incarnation, NodeId};

/// A name in the component table: a domain, or a prefix under every served host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) domain: Domain,
    pub(crate) is_subdomain: bool,
}

impl Name {
    /// Comes before every other name.
    pub(crate) fn least() -> Self {
        Self {
            domain: Domain::least(),
            is_subdomain: false,
        }
    }
}

/// What changes the component table. Each command is conditional, so that repeats, late arrivals
/// and messages of the dead have no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// A life of a node begins; the command's log index is its incarnation. Without effect unless
    /// `boot` is higher than in the node's last life.
    NodeJoined {
        node: NodeId,
        name: String,
        address: String,
        boot: u64,
    },
    /// The node says goodbye: its registrations go.
    NodeLeft {
        node: NodeId,
        incarnation: Incarnation,
    },
    /// The node's lease has run out: its registrations go.
    NodeExpired {
        node: NodeId,
        incarnation: Incarnation,
    },
    /// An operator has removed the node: its registrations go, and its identity never comes back.
    NodeRemoved { node: NodeId },
    /// A node changes its own registrations.
    Changes(Changes),
}

/// Changes that a node makes among its own registrations, in order.
///
/// Without effect unless `incarnation` is the node's present one and `sequence` is higher than
/// that of the last changes: a batch that was given up for lost and arrives after its successor
/// must not undo it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) node: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) sequence: u64,
    pub(crate) changes: Vec<RowChange>,
}

/// One change of a node's registrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowChange {
    /// Takes the place of a registration of the same name by an older connection of the node, and
    /// of other nodes as `claim` says.
    Register {
        name: Name,
        connection: ConnectionId,
        hidden: bool,
        claim: Claim,
    },
    /// Without effect if another connection holds the name (contract R5).
    Unregister {
        name: Name,
        connection: ConnectionId,
    },
}

/// The commands of one log entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Batch(pub(crate) Vec<Command>);

impl From<Command> for Batch {
    fn from(command: Command) -> Self {
        Self(vec![command])
    }
}
