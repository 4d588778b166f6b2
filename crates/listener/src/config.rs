use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use switchyard_registry::Domain;

use crate::{ConflictBehaviour, OutboxLimits, Secret};

/// How one listener serves its components (contract L). [`ListenerConfig::new`] fills in the
/// defaults.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// Where to listen. An IPv6 address takes IPv6 connections alone.
    pub address: SocketAddr,
    /// The secret of the handshake.
    pub password: Secret,
    /// The domains that the router itself serves (`general.hosts`): no component can take their
    /// names, and an `is_subdomain` component serves its prefix under each of them.
    pub hosts: Arc<[Domain]>,
    /// Whether `from` of a stanza must be at the component's domain (contract V3). Default: true.
    pub check_from: bool,
    /// Whether its components are left out of what users see (contract H2). Default: false.
    pub hidden_components: bool,
    /// What happens when a name is taken (contract S8). Default: the newcomer is refused.
    pub conflict: ConflictBehaviour,
    /// Largest stanza in bytes; `u32::MAX` is no limit (contract X3). Default: 1 MiB.
    pub max_stanza_size: u32,
    /// Bound of the whole negotiation (contract S7). Default: 5 s.
    pub state_timeout: Duration,
    /// Whitespace is sent after this long without anything else (contract S11). Default: 30 s.
    pub keepalive: Duration,
    /// A component that takes no byte for this long is disconnected (contract S11, D4).
    /// Default: 30 s.
    pub write_timeout: Duration,
    /// Once a connection ends: how long it may take to unregister, how long to write what is
    /// queued (contract S10, S12). Default: 5 s each.
    pub flush_timeout: Duration,
    /// Connections that the system keeps until they are accepted. Default: 1024.
    pub backlog: u32,
    /// Bounds of what waits for one component. Default: see [`OutboxLimits`].
    pub outbox: OutboxLimits,
}

impl ListenerConfig {
    /// The defaults, with what has none.
    #[must_use]
    pub fn new(address: SocketAddr, password: Secret) -> Self {
        Self {
            address,
            password,
            hosts: Arc::new([]),
            check_from: true,
            hidden_components: false,
            conflict: ConflictBehaviour::Disconnect,
            max_stanza_size: 1024 * 1024,
            state_timeout: Duration::from_secs(5),
            keepalive: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            flush_timeout: Duration::from_secs(5),
            backlog: 1024,
            outbox: OutboxLimits::default(),
        }
    }
}
