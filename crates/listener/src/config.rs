use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use switchyard_registry::Domain;

use crate::tls::ListenerTls;
use crate::{AccessRule, ConflictBehaviour, ConflictScope, OutboxLimits, Secrets};

/// How one listener serves its components (contract L). [`ListenerConfig::new`] fills in the
/// defaults.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// Where to listen.
    pub address: SocketAddr,
    /// The secrets of the handshake.
    pub secrets: Secrets,
    /// Whether open connections end, with `reset`, when a change of `secrets` leaves the one that
    /// they have proven invalid. Otherwise only those end whose name nobody can open any more.
    /// Default: false.
    pub disconnect_revoked: bool,
    /// Whether `[::]` takes IPv6 connections alone, and leaves IPv4 to another listener.
    /// Default: true.
    pub ipv6_only: bool,
    /// Whether other processes may listen there as well, and share the connections
    /// (`SO_REUSEPORT`). Default: false.
    pub reuse_port: bool,
    /// Whether every connection begins with a header of the PROXY protocol, version 1 or 2. Only
    /// for ports that nobody but the proxy reaches: whoever connects can claim to be anybody.
    /// Default: false.
    pub proxy_protocol: bool,
    /// Connections that there may be at the same time; further ones wait in the backlog until one
    /// ends. Default: `None`, any number.
    pub max_connections: Option<usize>,
    /// The domains that the router itself serves (`general.hosts`): no component can take their
    /// names, and an `is_subdomain` component serves its prefix under each of them.
    pub hosts: Arc<[Domain]>,
    /// Who may send to its components (contract L2); open connections follow a change. Default:
    /// everybody.
    pub access: Arc<AccessRule>,
    /// Bytes per second that are read from each connection (contract L3); open connections follow a
    /// change. Default: as many as come.
    pub max_rate: Option<NonZeroU64>,
    /// Whether `from` of a stanza must be at the component's domain (contract V3). Default: true.
    pub check_from: bool,
    /// Whether its components are left out of what users see (contract H2). Default: false.
    pub hidden_components: bool,
    /// What happens when a name is taken (contract S8). Default: the newcomer is refused.
    pub conflict: ConflictBehaviour,
    /// Whether a name is taken by a component of this node only, or of any (contract R3).
    /// Default: of this node.
    pub conflict_scope: ConflictScope,
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
    /// TLS; `None`: plain text. Default: none.
    pub tls: Option<ListenerTls>,
    /// Bounds of what waits for one component. Default: see [`OutboxLimits`].
    pub outbox: OutboxLimits,
}

impl ListenerConfig {
    /// The defaults, with what has none.
    #[must_use]
    pub fn new(address: SocketAddr, secrets: impl Into<Secrets>) -> Self {
        Self {
            address,
            secrets: secrets.into(),
            disconnect_revoked: false,
            ipv6_only: true,
            reuse_port: false,
            proxy_protocol: false,
            max_connections: None,
            hosts: Arc::new([]),
            access: Arc::default(),
            max_rate: None,
            check_from: true,
            hidden_components: false,
            conflict: ConflictBehaviour::Disconnect,
            conflict_scope: ConflictScope::Node,
            max_stanza_size: 1024 * 1024,
            state_timeout: Duration::from_secs(5),
            keepalive: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            flush_timeout: Duration::from_secs(5),
            backlog: 1024,
            tls: None,
            outbox: OutboxLimits::default(),
        }
    }
}
