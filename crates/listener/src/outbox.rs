use std::sync::Arc;

use bytes::Bytes;

/// Whole stanzas on their way to one component: a run that came from one connection.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The stanzas, adjacent, self-contained (contract X5), ready to be written.
    pub bytes: Bytes,
    /// How many stanzas `bytes` holds.
    pub count: u32,
    /// The outbox of the connection that sent them, if it is on this node: error replies go there.
    pub origin: Option<Arc<Outbox>>,
}

/// What waits to be written to one component: a bounded queue between many senders and one writer.
#[derive(Debug)]
pub struct Outbox {}
