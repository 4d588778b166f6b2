use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use switchyard_listener::Listener;
use switchyard_registry::{PeerServices, Registry};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;

use super::ports::Ports;
use super::{api_server, links, node_metrics, peer_server, settings};
use crate::config::Config;
use crate::entity::Entity;
use crate::http::{Condition, HttpState, Readiness};
use crate::peer::Peers;
use crate::router::Switch;

/// How long the components of a stopping node may take to be flushed and closed (contract S12).
/// Longer than the patience of a sender that waits for a slow destination at that moment.
const COMPONENT_DRAIN: Duration = Duration::from_secs(15);
/// How long the links of a stopping node may take to hand over what they hold.
const LINK_DRAIN: Duration = Duration::from_secs(3);

/// A running node.
pub(super) struct Node {
    registry: Registry,
    switch: Switch,
    peers: Arc<Peers>,
    tasks: Tasks,
    /// Set when the node is told to stop: it is not ready from then on.
    stopping: Arc<AtomicBool>,
}

/// What runs, and how it is told to stop.
#[derive(Default)]
struct Tasks {
    /// Ends with the first that fails.
    servers: JoinSet<anyhow::Result<()>>,
    components: JoinSet<()>,
    stop_servers: CancellationToken,
    stop_components: CancellationToken,
}

impl Node {
    /// Puts the parts together and starts to serve on every port. Components are accepted at once,
    /// and refused in words until the node has joined.
    pub(super) fn start(
        config: &Config,
        ports: Ports,
        registry: Registry,
        peer_services: PeerServices,
    ) -> anyhow::Result<Self> {
        let entity = Entity::new(config.disco.clone());
        let switch = Switch::new(settings::switch(config), registry.clone(), entity);
        let routing = Arc::new(switch.clone());
        let peers = Peers::new(settings::peers(config, &registry), routing.clone(), routing)
            .context("no random numbers from the system")?;
        let peers = Arc::new(peers);
        switch.connect(Arc::clone(&peers));
        let mut node = Self {
            registry,
            switch,
            peers,
            tasks: Tasks::default(),
            stopping: Arc::default(),
        };
        node.serve(ports, peer_services);
        Ok(node)
    }

    fn serve(&mut self, ports: Ports, peer_services: PeerServices) {
        let http_state = self.http_state(&ports.components);
        let stop = &self.tasks.stop_servers;
        let servers = &mut self.tasks.servers;
        if let Some(listener) = ports.peers {
            let mut services = RoutesBuilder::default();
            peer_services.add_to(&mut services);
            services.add_service(self.peers.service());
            servers.spawn(peer_server::serve(
                listener,
                services.routes(),
                stop.clone(),
            ));
        }
        servers.spawn(api_server::serve(
            ports.api,
            self.registry.api_services(),
            stop.clone(),
        ));
        let follow = links::follow(self.registry.clone(), self.peers.clone());
        servers.spawn(async {
            follow.await;
            Ok(())
        });
        if let Some(http) = ports.http {
            let stop = stop.clone();
            servers.spawn(async {
                http.serve(http_state, stop).await;
                Ok(())
            });
        }
        for listener in ports.components {
            self.serve_components(listener);
        }
    }

    fn serve_components(&mut self, listener: Listener) {
        let switch = Arc::new(self.switch.clone());
        let stop = self.tasks.stop_components.clone();
        self.tasks
            .components
            .spawn(listener.serve(Arc::clone(&switch), switch, stop));
    }

    fn http_state(&self, components: &[Listener]) -> HttpState {
        let metrics = node_metrics::all(&self.switch, &self.registry, &self.peers, components);
        let incarnation = self.registry.incarnation();
        let stopping = Arc::clone(&self.stopping);
        let readiness = move || {
            let joined = incarnation.borrow().is_some();
            let stopping = stopping.load(Ordering::Relaxed);
            Readiness::new(vec![
                Condition::check(
                    "joined",
                    joined,
                    "the node has not joined, or has lost its quorum",
                ),
                Condition::check("serving", !stopping, "the node is stopping"),
            ])
        };
        HttpState {
            readiness: Arc::new(readiness),
            metrics: Arc::new(metrics),
        }
    }

    /// Joins the cluster, then serves until something that the node cannot do without fails.
    pub(super) async fn run(&mut self) -> anyhow::Result<()> {
        let registry = self.registry.clone();
        let joined = async {
            registry.join().await?;
            Err(anyhow!("the registry failed: {}", registry.failed().await))
        };
        tokio::select! {
            failed = joined => failed,
            Some(ended) = self.tasks.servers.join_next() => {
                ended.context("a server panicked")?.and(Err(anyhow!("a server ended by itself")))
            }
        }
    }

    /// Takes the node out of service: components first, so that no stanza is lost, the cluster
    /// last. Each step is bounded.
    pub(super) async fn drain(mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.switch.stop();
        self.tasks.stop_components.cancel();
        let components = &mut self.tasks.components;
        let closed = timeout(COMPONENT_DRAIN, async {
            while components.join_next().await.is_some() {}
        });
        if closed.await.is_err() {
            tracing::warn!("Components did not close in time");
        }
        self.peers.shutdown(Instant::now() + LINK_DRAIN).await;
        self.registry.leave().await;
        self.tasks.stop_servers.cancel();
        self.tasks.servers.shutdown().await;
        tracing::info!("Stopped");
    }
}
