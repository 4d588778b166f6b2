use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint};

use crate::dialer::{Connector, Dialer, PeerAddress};

/// Connections to peers, one for each address and lane, kept for as long as the process runs.
///
/// A lane is a TCP connection of its own, so that bulk on one cannot delay heartbeats on another.
#[derive(Debug)]
pub(crate) struct Channels {
    dialer: Arc<dyn Dialer>,
    open: Mutex<HashMap<(PeerAddress, Lane), Channel>>,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Heartbeats, votes and log entries.
    Raft,
    /// Snapshots.
    Snapshot,
    /// Membership, proposals, reads and leases.
    Control,
}

/// `host:port` is no address that a URI can hold.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no address of a peer")]
pub(crate) struct BadAddress(String);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

impl Channels {
    pub(crate) fn new(dialer: Arc<dyn Dialer>) -> Self {
        Self {
            dialer,
            open: Mutex::default(),
        }
    }

    /// The connection to `peer`; made when it is first used, and again after it broke.
    pub(crate) fn get(&self, peer: PeerAddress, lane: Lane) -> Result<Channel, BadAddress> {
        let mut open = self.open.lock();
        let key = (peer, lane);
        if let Some(channel) = open.get(&key) {
            return Ok(channel.clone());
        }
        let connector = Connector::new(Arc::clone(&self.dialer), key.0.clone());
        let channel = endpoint(&key.0.address)?.connect_with_connector_lazy(connector);
        open.insert(key, channel.clone());
        Ok(channel)
    }
}

fn endpoint(address: &str) -> Result<Endpoint, BadAddress> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|_| BadAddress(address.to_owned()))?;
    // Fixed windows: hyper's adaptive ones start from 64 KiB whatever is asked for.
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW))
}
