//! Runs a node.

use crate::config::Config;

/// Runs a node until it is told to stop.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    tracing::info!(node = %config.node.name, "Serving");
    std::future::pending().await
}
