use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::live_config::LiveConfig;
use crate::{ListenerConfig, ListenerMetrics};

/// What is left in hand of a [`Listener`](crate::Listener) that serves: it replaces the
/// configuration, or ends the listener alone (contract A4).
#[derive(Debug, Clone)]
pub struct ListenerHandle {
    pub(crate) local_addr: SocketAddr,
    pub(crate) config: Arc<LiveConfig>,
    pub(crate) metrics: Arc<ListenerMetrics>,
    /// Cancelled when the listener alone is to end.
    pub(crate) removed: CancellationToken,
    /// Cancelled when it has stopped accepting.
    pub(crate) unbound: CancellationToken,
}

/// Why a configuration cannot replace the one that a listener has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a listener on {bound} cannot move to {wanted}: bind another")]
pub struct ReloadError {
    /// Where it listens.
    pub bound: SocketAddr,
    /// Where the configuration wants it.
    pub wanted: SocketAddr,
}

// === impl ListenerHandle ===

impl ListenerHandle {
    /// Where the listener listens: the port that the system chose if port 0 was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address that it was configured with, and keeps.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.config.load().address
    }

    /// What the listener counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<ListenerMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Its configuration, for parts that follow it while a connection is open.
    #[must_use]
    pub fn config(&self) -> &Arc<LiveConfig> {
        &self.config
    }

    /// Connections from here on have `config`; those that are open keep what they were accepted
    /// with, save for what follows [`Self::config`].
    ///
    /// # Errors
    ///
    /// When `config` is for another address; then nothing has changed.
    pub fn reload(&self, config: ListenerConfig) -> Result<(), ReloadError> {
        let bound = self.address();
        if config.address != bound {
            let wanted = config.address;
            return Err(ReloadError { bound, wanted });
        }
        self.config.replace(config);
        Ok(())
    }

    /// Ends the listener, which must be serving: it stops accepting, and its connections
    /// unregister, flush and end with the stream error `reset`. Ready when the address is free;
    /// `Listener::serve` returns when the last connection has ended.
    pub async fn remove(&self) {
        self.removed.cancel();
        self.unbound.cancelled().await;
    }
}
