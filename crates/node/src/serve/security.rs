use std::sync::Arc;

use arc_swap::ArcSwap;
use switchyard_registry::{Dialer, TcpDialer};

use crate::api_access::Gate;
use crate::config::Config;
use crate::tls::{LiveServer, PeerTls, TlsDialer};

/// What protects the ports of peers and of the API (contract A2): certificates are replaced while
/// the node runs, for the connections that follow.
#[derive(Clone)]
pub(super) struct Security {
    peers: Option<LivePeerTls>,
    api: Option<LiveServer>,
    gate: Arc<Gate>,
}

#[derive(Clone)]
struct LivePeerTls {
    tls: Arc<ArcSwap<PeerTls>>,
    server: LiveServer,
}

impl Security {
    /// As `config` has it.
    pub(super) fn new(config: &Config) -> Self {
        let peers = peer_tls(config).map(|tls| LivePeerTls {
            tls: Arc::new(ArcSwap::from_pointee(tls.clone())),
            server: Arc::new(ArcSwap::new(Arc::clone(tls.server()))),
        });
        let api = config.api.tls.as_ref();
        Self {
            peers,
            api: api.map(|tls| Arc::new(ArcSwap::new(Arc::clone(&tls.server)))),
            gate: Arc::new(Gate::new(config.api.access.clone())),
        }
    }

    /// How to connect to peers.
    pub(super) fn dialer(&self) -> Arc<dyn Dialer> {
        match &self.peers {
            Some(peers) => Arc::new(TlsDialer::new(Arc::clone(&peers.tls))),
            None => Arc::new(TcpDialer),
        }
    }

    /// How `cluster.listen` speaks TLS, if it does.
    pub(super) fn peer_server(&self) -> Option<LiveServer> {
        Some(Arc::clone(&self.peers.as_ref()?.server))
    }

    /// How `api.listen` speaks TLS, if it does.
    pub(super) fn api_server(&self) -> Option<LiveServer> {
        self.api.clone()
    }

    /// Who may ask what of the API.
    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Takes certificates, keys and tokens from `config`.
    pub(super) fn reload(&self, config: &Config) {
        if let (Some(peers), Some(tls)) = (&self.peers, peer_tls(config)) {
            peers.server.store(Arc::clone(tls.server()));
            peers.tls.store(Arc::new(tls.clone()));
        }
        if let (Some(api), Some(tls)) = (&self.api, &config.api.tls) {
            api.store(Arc::clone(&tls.server));
        }
        self.gate.set(config.api.access.clone());
    }
}

fn peer_tls(config: &Config) -> Option<&PeerTls> {
    Some(&config.cluster.as_ref()?.tls.as_ref()?.tls)
}
