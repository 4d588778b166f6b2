use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use switchyard_listener::{Listener, ListenerHandle};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::router::Switch;

/// The listeners for components that a node serves: they come and go with its configuration.
pub(super) struct ComponentPorts {
    switch: Arc<Switch>,
    serving: TaskTracker,
    stop: CancellationToken,
    /// The connections that all of them may have, a permit each.
    budget: Arc<Semaphore>,
    /// Those that accept connections.
    open: Mutex<Vec<ListenerHandle>>,
}

// === impl ComponentPorts ===

impl ComponentPorts {
    /// None yet; together they may have as many connections as `budget` has permits.
    pub(super) fn new(switch: Switch, budget: Arc<Semaphore>) -> Self {
        Self {
            switch: Arc::new(switch),
            serving: TaskTracker::new(),
            stop: CancellationToken::new(),
            budget,
            open: Mutex::default(),
        }
    }

    /// Serves components on `listener` until it is removed or the node stops.
    pub(super) fn serve(&self, listener: Listener) {
        self.open.lock().push(listener.handle());
        let listener = listener.within(Arc::clone(&self.budget));
        let switch = Arc::clone(&self.switch);
        let stop = self.stop.clone();
        self.serving
            .spawn(listener.serve(Arc::clone(&switch), switch, stop));
    }

    /// Those that are served.
    pub(super) fn handles(&self) -> Vec<ListenerHandle> {
        self.open.lock().clone()
    }

    /// Ends the listener that was bound to `address`, and waits until the address is free. Its
    /// connections end in their own time.
    pub(super) async fn remove(&self, address: SocketAddr) {
        let removed: Vec<_> = {
            let mut open = self.open.lock();
            let has_address = |handle: &mut ListenerHandle| handle.address() == address;
            open.extract_if(.., has_address).collect()
        };
        for handle in removed {
            handle.remove().await;
        }
    }

    /// Ends all of them; returns when every connection has ended.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.serving.close();
        self.serving.wait().await;
    }
}
