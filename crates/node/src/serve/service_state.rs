use futures::stream::{self, Stream, StreamExt};
use switchyard_registry::Registry;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;

use crate::http::{Condition, Readiness};

/// Whether components may be sent to this node (contract A4), in one place for everybody who tells.
#[derive(Clone)]
pub(super) struct ServiceState {
    registry: Registry,
    stopping: CancellationToken,
}

impl ServiceState {
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            registry,
            stopping: CancellationToken::new(),
        }
    }

    /// The node is not ready from here on.
    pub(super) fn stop(&self) {
        self.stopping.cancel();
    }

    /// As of now.
    pub(super) fn readiness(&self) -> Readiness {
        let joined = self.registry.incarnation().borrow().is_some();
        let stopping = self.stopping.is_cancelled();
        let drained = self.registry.is_drained();
        Readiness::new(vec![
            Condition::check(
                "joined",
                joined,
                "the node has not joined, or has lost its quorum",
            ),
            Condition::check("serving", !stopping, "the node is stopping"),
            Condition::check("in service", !drained, "the node is drained"),
        ])
    }

    /// An item each time that [`Self::readiness`] may have changed.
    pub(super) fn changes(&self) -> impl Stream<Item = ()> + use<> {
        let incarnation = WatchStream::from_changes(self.registry.incarnation()).map(drop);
        let registry = self.registry.clone();
        let drained = stream::once(async move { registry.drained().await });
        let stopping = stream::once(self.stopping.clone().cancelled_owned());
        stream::select(incarnation, stream::select(drained, stopping))
    }
}
