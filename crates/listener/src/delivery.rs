use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::Outbox;

/// Whole stanzas on their way to one component: a run that came from one connection.
#[derive(Clone)]
pub struct Delivery {
    /// The stanzas, adjacent, self-contained (contract X5), ready to be written.
    pub bytes: Bytes,
    /// How many stanzas `bytes` holds.
    pub count: u32,
    /// The outbox of the connection that sent them, if it is on this node: error replies go there.
    pub origin: Option<Arc<Outbox>>,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("bytes", &self.bytes.len())
            .field("count", &self.count)
            .field("origin", &self.origin.is_some())
            .finish()
    }
}
