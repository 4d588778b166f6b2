use std::collections::BTreeMap;

use parking_lot::Mutex;
use tonic::Status;

/// Which peers do not answer and why, so that the log says so once for each time and not for each
/// try.
#[derive(Debug, Default)]
pub(crate) struct Reachability {
    unreachable: Mutex<BTreeMap<u64, String>>,
}

impl Reachability {
    pub(super) fn reached(&self, id: u64, peer: &str) {
        if self.unreachable.lock().remove(&id).is_some() {
            tracing::info!(id, peer, "Peer answers again");
        }
    }

    /// Why the peer does not answer; empty: it does, or nothing was asked of it.
    pub(crate) fn problem(&self, id: u64) -> String {
        self.unreachable
            .lock()
            .get(&id)
            .cloned()
            .unwrap_or_default()
    }

    /// True if the last that was asked of the peer failed at once.
    pub(crate) fn is_unreachable(&self, id: u64) -> bool {
        self.unreachable.lock().contains_key(&id)
    }

    pub(super) fn failed(&self, id: u64, peer: &str, status: &Status) {
        let reason = status.message();
        let known = self.unreachable.lock().insert(id, reason.to_owned());
        if known.as_deref() != Some(reason) {
            tracing::warn!(id, peer, reason, "Peer does not answer");
        }
    }
}
