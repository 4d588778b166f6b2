use std::iter;
use std::ops::{Deref, DerefMut};
use std::thread;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{Founder, Node, NodeConfig, PortBlock};

/// Nodes that form a cluster, with their data in a directory that goes with it.
///
/// Indexes are those of its nodes: `cluster[0]` is named `node1`.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    dir: TempDir,
    _ports: Vec<PortBlock>,
}

impl Cluster {
    /// Starts `count` nodes and waits until all are ready.
    ///
    /// # Errors
    ///
    /// When one does not come up: the ends of the logs are on standard error.
    pub fn start(count: usize) -> Result<Self> {
        let mut cluster = Self::prepare(count)?;
        let started = cluster.start_all();
        cluster.explain(started)?;
        Ok(cluster)
    }

    /// Writes the configurations of `count` nodes and starts none.
    ///
    /// # Errors
    ///
    /// When files or ports are not to be had.
    pub fn prepare(count: usize) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("switchyard-test-")
            .tempdir()?;
        let ports: Vec<PortBlock> = iter::repeat_with(PortBlock::reserve)
            .take(count)
            .collect::<Result<_>>()?;
        let founders: Vec<Founder> = iter::zip(1.., &ports)
            .map(|(i, ports)| Founder {
                name: format!("node{i}"),
                address: ports.address(0),
            })
            .collect();
        let nodes = iter::zip(&founders, &ports)
            .map(|(founder, ports)| {
                let config = NodeConfig {
                    name: founder.name.clone(),
                    data_dir: dir.path().join(&founder.name),
                    cluster: "test".to_owned(),
                    peers: founder.address,
                    founders: founders.clone(),
                    api: ports.address(1),
                    http: ports.address(2),
                    components: [ports.address(3), ports.address(4), ports.address(5)],
                };
                Node::new(dir.path(), config)
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            nodes,
            dir,
            _ports: ports,
        })
    }

    /// Starts every node that does not run, and waits until all of them are ready.
    ///
    /// # Errors
    ///
    /// When one does not come up.
    pub fn start_all(&mut self) -> Result<()> {
        for node in self.nodes.iter_mut().filter(|node| !node.is_running()) {
            node.start()?;
        }
        self.nodes.iter_mut().try_for_each(Node::wait_ready)
    }

    /// Runs a test's body; if it fails, shows the end of every node's log with the error.
    ///
    /// # Errors
    ///
    /// Those of `body`.
    pub fn run(mut self, body: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let outcome = body(&mut self);
        self.explain(outcome)
    }

    fn explain<T>(&self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.show_logs();
        }
        outcome
    }

    fn show_logs(&self) {
        for node in &self.nodes {
            eprintln!(
                "--- the end of the log of {}\n{}",
                node.name(),
                node.log_tail()
            );
        }
    }

    /// The index of the node that leads, as any node sees it that answers.
    ///
    /// # Errors
    ///
    /// When nobody knows a leader.
    pub fn leader(&self) -> Result<usize> {
        let known = self.nodes.iter().find_map(|node| {
            let status = node.query(&["cluster", "status"]).ok()?;
            let leader = status["leader"].as_str()?;
            self.nodes.iter().position(|node| node.name() == leader)
        });
        known.context("no node knows a leader")
    }

    /// The directory with everything that the nodes write.
    #[must_use]
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }
}

impl Deref for Cluster {
    type Target = [Node];

    fn deref(&self) -> &[Node] {
        &self.nodes
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            self.show_logs();
        }
    }
}
