use tokio_util::sync::CancellationToken;

use crate::CloseReason;

/// Tells the connections of a listener to end, and why.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    /// Cancelled when they are to end.
    pub(crate) token: CancellationToken,
    /// Cancelled before, if it is this listener alone that ends and not the node.
    pub(crate) removed: CancellationToken,
}

impl Stop {
    /// Why the connections end.
    pub(crate) fn reason(&self) -> CloseReason {
        match self.removed.is_cancelled() {
            true => CloseReason::Reset,
            false => CloseReason::SystemShutdown,
        }
    }
}
