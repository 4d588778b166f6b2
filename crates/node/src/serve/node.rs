use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use switchyard_registry::{PeerServices, Registry};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;

use super::component_ports::ComponentPorts;
use super::descriptors::Budget;
use super::ports::Ports;
use super::reload::Reloader;
use super::reload_counters::ReloadCounters;
use super::security::Security;
use super::service_state::ServiceState;
use super::{api_server, links, node_metrics, peer_server, settings};
use crate::config::Config;
use crate::entity::Entity;
use crate::http::HttpState;
use crate::logging::Logging;
use crate::peer::Peers;
use crate::router::{Switch, follow_losses};

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
    components: Arc<ComponentPorts>,
    tasks: Tasks,
    state: ServiceState,
}

/// What runs, and how it is told to stop.
#[derive(Default)]
struct Tasks {
    /// Ends with the first that fails.
    servers: JoinSet<anyhow::Result<()>>,
    stop_servers: CancellationToken,
}

impl Node {
    /// Puts the parts together and starts to serve on every port. Components are accepted at once,
    /// and refused in words until the node has joined. Gives what replaces `config`, which is
    /// that in `file`, while the node runs.
    pub(super) fn start(
        config: Config,
        file: &Path,
        logging: Logging,
        security: Security,
        ports: Ports,
        registry: Registry,
        peer_services: PeerServices,
    ) -> anyhow::Result<(Self, Reloader)> {
        let entity = Entity::new(config.disco.clone());
        let switch = Switch::new(settings::switch(&config), registry.clone(), entity);
        let routing = Arc::new(switch.clone());
        let peers = Peers::new(
            settings::peers(&config, &registry, security.dialer()),
            routing.clone(),
            routing,
        )
        .context("no random numbers from the system")?;
        let peers = Arc::new(peers);
        switch.connect(Arc::clone(&peers));
        let budget = Budget::new(&config);
        let components = ComponentPorts::new(switch.clone(), Arc::clone(&budget.components));
        let components = Arc::new(components);
        let reloader = Reloader::new(
            file,
            config,
            Arc::clone(&components),
            switch.clone(),
            logging,
            security.clone(),
        );
        let mut node = Self {
            state: ServiceState::new(registry.clone()),
            registry,
            switch,
            peers,
            components,
            tasks: Tasks::default(),
        };
        node.serve(
            ports,
            peer_services,
            &budget,
            &security,
            reloader.counters(),
        );
        Ok((node, reloader))
    }

    fn serve(
        &mut self,
        ports: Ports,
        peer_services: PeerServices,
        budget: &Budget,
        security: &Security,
        reloads: &Arc<ReloadCounters>,
    ) {
        let http_state = self.http_state(reloads, security);
        let stop = &self.tasks.stop_servers;
        let servers = &mut self.tasks.servers;
        if let Some(listener) = ports.peers {
            let mut services = RoutesBuilder::default();
            peer_services.add_to(&mut services);
            services.add_service(self.peers.service());
            servers.spawn(peer_server::serve(
                listener,
                security.peer_server(),
                budget.peers,
                services.routes(),
                stop.clone(),
            ));
        }
        servers.spawn(api_server::serve(
            ports.api,
            security.api_server(),
            budget.api,
            Arc::clone(security.gate()),
            self.registry.api_services(),
            self.state.clone(),
            stop.clone(),
        ));
        let follow = links::follow(self.registry.clone(), self.peers.clone());
        let follow_losses = follow_losses(self.registry.losses(), self.switch.clone());
        servers.spawn(async {
            tokio::join!(follow, follow_losses);
            Ok(())
        });
        if let Some(http) = ports.http {
            let (most, stop) = (budget.http, stop.clone());
            servers.spawn(async move {
                http.serve(http_state, most, stop).await;
                Ok(())
            });
        }
        for listener in ports.components {
            self.components.serve(listener);
        }
    }

    fn http_state(&self, reloads: &Arc<ReloadCounters>, security: &Security) -> HttpState {
        let mut metrics = node_metrics::all(&self.switch, &self.registry, &self.peers);
        node_metrics::listeners(&mut metrics, &self.components);
        node_metrics::reloads(&mut metrics, reloads);
        node_metrics::api(&mut metrics, security.gate());
        let state = self.state.clone();
        HttpState {
            readiness: Arc::new(move || state.readiness()),
            metrics: Arc::new(metrics),
        }
    }

    /// Joins the cluster, then serves until something that the node cannot do without fails.
    pub(super) async fn run(&mut self) -> anyhow::Result<()> {
        let drained = follow_drain(
            self.registry.clone(),
            self.switch.clone(),
            Arc::clone(&self.components),
        );
        let registry = self.registry.clone();
        let refused = async {
            match registry.join().await {
                Ok(_) => std::future::pending().await,
                Err(refused) => refused,
            }
        };
        tokio::select! {
            // First: what has failed makes joining fail as well, in vaguer words.
            biased;
            reason = registry.failed() => Err(anyhow!("the node cannot go on: {reason}")),
            refused = refused => Err(refused.into()),
            () = drained => Ok(()),
            Some(ended) = self.tasks.servers.join_next() => {
                ended.context("a server panicked")?.and(Err(anyhow!("a server ended by itself")))
            }
        }
    }

    /// Takes the node out of service: components first, so that no stanza is lost, the cluster
    /// last. Each step is bounded.
    pub(super) async fn drain(mut self) {
        self.state.stop();
        self.switch.stop();
        let closed = timeout(COMPONENT_DRAIN, self.components.stop());
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

/// Closes the components when an operator drains the node, which stays a member. Never ends.
async fn follow_drain(registry: Registry, switch: Switch, components: Arc<ComponentPorts>) {
    registry.drained().await;
    switch.stop();
    components.stop().await;
    std::future::pending().await
}
