//! Runs a node: puts the parts together, and takes them apart in the right order.

mod api_server;
mod links;
mod node;
mod node_metrics;
mod peer_server;
mod ports;
mod settings;
mod signals;

use switchyard_registry::Registry;

use self::node::Node;
use self::ports::Ports;
use crate::config::Config;

/// Runs a node until it is told to stop, or cannot go on.
///
/// # Errors
///
/// When a port or the data directory cannot be had, the cluster refuses the node, or its storage
/// fails. Nothing has been written if a port was taken.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let ports = Ports::bind(&config).await?;
    let (registry, peer_services) = Registry::open(settings::registry(&config)).await?;
    ports.log();
    let mut node = Node::start(&config, ports, registry, peer_services)?;
    let outcome = tokio::select! {
        outcome = node.run() => outcome,
        signal = signals::stop() => signal.map(|name| tracing::info!(signal = name, "Stopping")),
    };
    node.drain().await;
    outcome
}
