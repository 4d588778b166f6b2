use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use crate::ListenerConfig;

/// The configuration of a listener that may be serving: replaced as a whole, read without a lock.
///
/// A connection is negotiated, and goes on, under the configuration of the moment when it was
/// accepted ([`Self::current`]). Only the parts that say how open connections are treated read it
/// anew ([`Self::load`], [`Self::subscribe`]).
#[derive(Debug)]
pub struct LiveConfig {
    current: ArcSwap<ListenerConfig>,
    /// Says that there is another.
    changes: watch::Sender<()>,
}

impl LiveConfig {
    pub(crate) fn new(config: ListenerConfig) -> Self {
        Self {
            current: ArcSwap::from_pointee(config),
            changes: watch::Sender::default(),
        }
    }

    /// The configuration as of now, to be kept.
    #[must_use]
    pub fn current(&self) -> Arc<ListenerConfig> {
        self.current.load_full()
    }

    /// The configuration as of now, to be looked at: cheaper than [`Self::current`], and not to be
    /// held across an `await`.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<ListenerConfig>> {
        self.current.load()
    }

    /// Changes from here on.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Connections accepted from here on have `config`.
    pub(crate) fn replace(&self, config: ListenerConfig) {
        self.current.store(Arc::new(config));
        self.changes.send_replace(());
    }
}
