use std::sync::Arc;
use std::time::Duration;

use switchyard_registry::{Dialer, Incarnation, NameCheck, NodeId, TcpDialer};

use super::WindowLimits;

/// Who this node is to its peers, and how it treats the links to them.
#[derive(Debug, Clone)]
pub(crate) struct PeersConfig {
    /// `cluster.name`.
    pub(crate) cluster: String,
    /// This node's identity.
    pub(crate) node: NodeId,
    /// `node.name`.
    pub(crate) name: String,
    /// What a link may keep.
    pub(crate) window: WindowLimits,
    /// Bytes of stanzas in one frame; a larger single parcel goes alone.
    pub(crate) batch_bytes: usize,
    /// How long links wait for what.
    pub(crate) timings: Timings,
    /// How to connect to peers.
    pub(crate) dialer: Arc<dyn Dialer>,
    /// What sees that peers speak as themselves; `None`: they prove nothing.
    pub(crate) names: Option<NameCheck>,
}

/// How long links wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timings {
    /// A TCP connection.
    pub(crate) connect: Duration,
    /// Hello and welcome, once connected.
    pub(crate) handshake: Duration,
    /// The pause after the first failed attempt; it doubles with each further one, up to
    /// `backoff_max`, less a random part.
    pub(crate) backoff_min: Duration,
    /// The longest such pause.
    pub(crate) backoff_max: Duration,
    /// The pause after a refusal that a mere retry will hardly change, such as another cluster.
    pub(crate) refused: Duration,
    /// How long stanzas wait for a lost connection to come back before they are answered with
    /// errors (contract D3).
    pub(crate) grace: Duration,
    /// Silence after which the peer is probed, and how long it may take to answer.
    pub(crate) keepalive: (Duration, Duration),
}

/// A life of this node in its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Life {
    /// Chosen when the cluster was formed; nodes of different clusters refuse each other.
    pub(crate) cluster_id: String,
    /// The life.
    pub(crate) incarnation: Incarnation,
}

impl PeersConfig {
    /// The settings that suit a data centre; connections are of plain TCP.
    pub(crate) fn new(cluster: String, node: NodeId, name: String) -> Self {
        Self {
            cluster,
            node,
            name,
            window: WindowLimits::default(),
            batch_bytes: 256 * 1024,
            timings: Timings::default(),
            dialer: Arc::new(TcpDialer),
            names: None,
        }
    }
}

impl Default for WindowLimits {
    fn default() -> Self {
        Self {
            bytes: 16 * 1024 * 1024,
            parcels: 64 * 1024,
            // An outbox takes 4 MiB from peers beyond its soft limit: eight of them may find it full
            // at the same instant before anything is rejected.
            destination_bytes: 512 * 1024,
        }
    }
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            handshake: Duration::from_secs(2),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(1),
            refused: Duration::from_secs(5),
            grace: Duration::from_secs(3),
            keepalive: (Duration::from_secs(2), Duration::from_secs(5)),
        }
    }
}
