use std::fmt;

use switchyard_listener::Delivery;
use switchyard_registry::{Domain, NodeId};

/// A name in the component table, as the node that holds it looks it up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Destination {
    /// The domain; the prefix under every served host if `is_subdomain`.
    pub(crate) name: Domain,
    /// The component registered with `is_subdomain="true"` (contract R4).
    pub(crate) is_subdomain: bool,
}

/// A run of stanzas for one destination: what a link carries, acknowledges and rejects as a whole.
#[derive(Debug)]
pub(crate) struct Parcel {
    /// Where it goes.
    pub(crate) to: Destination,
    /// The stanzas. `origin` stays on this node.
    pub(crate) delivery: Delivery,
    /// How many links it has been given to, this one included: bounds how long it wanders.
    pub(crate) attempts: u8,
    /// The node that it was last sent to.
    pub(crate) node: NodeId,
}

impl Parcel {
    /// Newer stanzas for the same destination go elsewhere by now: should it come back, it is
    /// answered, for it would come behind them there (contract D2).
    pub(super) fn pin(&mut self) {
        self.attempts = u8::MAX;
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.is_subdomain { ".*" } else { "" };
        write!(f, "{}{suffix}", self.name)
    }
}
