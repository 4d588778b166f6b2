use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Outbox, Receipt};

/// Whole stanzas on their way to one component: a run that came from one connection.
pub struct Delivery {
    /// The stanzas, adjacent, self-contained (contract X5), ready to be written.
    pub bytes: Bytes,
    /// How many stanzas `bytes` holds.
    pub count: u32,
    /// The outbox of the connection that sent them, if it is on this node: error replies go there.
    pub origin: Option<Arc<Outbox>>,
    /// For what came from another node: tells it what became of the stanzas.
    pub receipt: Option<Receipt>,
}

impl Delivery {
    /// Drops what was not accepted: its consignor learns of that in another way than by the
    /// receipt.
    pub fn refuse(self) {
        if let Some(receipt) = self.receipt {
            receipt.withhold();
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("bytes", &self.bytes.len())
            .field("count", &self.count)
            .field("origin", &self.origin.is_some())
            .field("receipt", &self.receipt)
            .finish()
    }
}
