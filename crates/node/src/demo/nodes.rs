use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::future::{join_all, select_all};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::node_process::NodeProcess;
use super::plan::NodePlan;
use crate::http_client;

/// How long the cluster may take to form.
const READY_PATIENCE: Duration = Duration::from_secs(30);

/// How often a node is asked whether it is ready.
const READY_INTERVAL: Duration = Duration::from_millis(50);

/// The nodes of the demo, running.
#[derive(Debug)]
pub(crate) struct Nodes {
    processes: Vec<NodeProcess>,
    directory: TempDir,
}

impl Nodes {
    /// Starts the nodes of `plan` in a temporary directory.
    pub(crate) fn start(plan: &[NodePlan]) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("switchyard-demo-")
            .tempdir()
            .context("cannot make a temporary directory")?;
        let start = |node| NodeProcess::start(node, plan, directory.path());
        let processes = plan.iter().map(start).collect::<anyhow::Result<_>>()?;
        Ok(Self {
            processes,
            directory,
        })
    }

    /// Ready when a node has died, with the reason.
    pub(crate) async fn died(&mut self) -> anyhow::Error {
        let deaths = self.processes.iter_mut().map(|node| Box::pin(node.died()));
        select_all(deaths).await.0
    }

    /// Stops all nodes and removes their directory.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.processes.iter().for_each(NodeProcess::terminate);
        let stopped = self.processes.iter_mut().map(NodeProcess::stopped);
        let stopped: anyhow::Result<()> = join_all(stopped).await.into_iter().collect();
        let removed = self.directory.close();
        stopped?;
        removed.context("cannot remove the temporary directory")
    }
}

/// Waits until every node of `plan` is ready.
pub(crate) async fn ready(plan: &[NodePlan]) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_PATIENCE;
    for node in plan {
        while !is_ready(node.ports.http).await {
            if Instant::now() >= deadline {
                let patience = READY_PATIENCE.as_secs();
                bail!("{} is not ready after {patience} s", node.name);
            }
            sleep(READY_INTERVAL).await;
        }
    }
    Ok(())
}

async fn is_ready(address: SocketAddr) -> bool {
    let answer = http_client::get(address, "/readyz").await;
    answer.is_ok_and(|answer| answer.status == 200)
}
