//! Runs a node: puts the parts together, and takes them apart in the right order.

mod api_server;
mod component_ports;
mod descriptors;
mod health;
mod links;
mod node;
mod node_metrics;
mod peer_server;
mod ports;
mod reload;
mod reload_counters;
mod security;
mod service_state;
mod settings;
mod signals;

use std::path::PathBuf;

use switchyard_registry::Registry;

use self::node::Node;
use self::ports::Ports;
use self::security::Security;
pub(crate) use self::signals::Signals;
use crate::config::Config;
use crate::logging::Logging;

/// What a node is started with.
pub(crate) struct Start {
    /// Its configuration.
    pub(crate) config: Config,
    /// The file that holds it, which is read again on SIGHUP.
    pub(crate) file: PathBuf,
    /// Follows `general.loglevel`.
    pub(crate) logging: Logging,
    /// Taken over before.
    pub(crate) signals: Signals,
}

/// Runs a node until it is told to stop, or cannot go on.
///
/// # Errors
///
/// When a port or the data directory cannot be had, the cluster refuses the node, or its storage
/// fails. Nothing has been written if a port was taken.
pub(crate) async fn run(start: Start) -> anyhow::Result<()> {
    let Start {
        config,
        file,
        logging,
        mut signals,
    } = start;
    let ports = Ports::bind(&config).await?;
    let security = Security::new(&config);
    let settings = settings::registry(&config, security.dialer());
    let (registry, peer_services) = Registry::open(settings).await?;
    ports.log();
    let (mut node, mut reloader) = Node::start(
        config,
        &file,
        logging,
        security,
        ports,
        registry,
        peer_services,
    )?;
    let outcome = tokio::select! {
        outcome = node.run() => outcome,
        name = signals.stop.wait() => {
            tracing::info!(signal = name, "Stopping");
            Ok(())
        }
        never = signals.reload.drive(&mut reloader) => match never {},
    };
    node.drain().await;
    outcome
}
