use std::collections::BTreeSet;

use parking_lot::Mutex;
use tonic::Status;

/// Which peers do not answer, so that the log says so once for each time and not for each try.
#[derive(Debug, Default)]
pub(super) struct Reachability {
    unreachable: Mutex<BTreeSet<u64>>,
}

impl Reachability {
    pub(super) fn reached(&self, id: u64, peer: &str) {
        if self.unreachable.lock().remove(&id) {
            tracing::info!(id, peer, "Peer answers again");
        }
    }

    pub(super) fn failed(&self, id: u64, peer: &str, status: &Status) {
        if self.unreachable.lock().insert(id) {
            let reason = status.message();
            tracing::warn!(id, peer, reason, "Peer does not answer");
        }
    }
}
