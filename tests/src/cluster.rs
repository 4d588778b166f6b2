use std::iter;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::thread;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{Founder, Links, Node, NodeConfig, PortBlock};

/// Nodes that form a cluster, with their data in a directory that goes with it.
///
/// Indexes are those of its nodes: `cluster[0]` is named `node1`.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    links: Option<Links>,
    dir: TempDir,
    ports: Vec<PortBlock>,
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
        Self::prepare_with(count, false, "")
    }

    /// The same with nodes that reach each other through [`Self::links`], and with more lines for
    /// `[cluster]`.
    ///
    /// # Errors
    ///
    /// When files or ports are not to be had.
    pub fn prepare_linked(count: usize, cluster_keys: &str) -> Result<Self> {
        Self::prepare_with(count, true, cluster_keys)
    }

    fn prepare_with(count: usize, is_linked: bool, cluster_keys: &str) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("switchyard-test-")
            .tempdir()?;
        let ports: Vec<PortBlock> = iter::repeat_with(PortBlock::reserve)
            .take(count)
            .collect::<Result<_>>()?;
        let listens: Vec<SocketAddr> = ports.iter().map(|ports| ports.address(0)).collect();
        let links = match is_linked {
            true => Some(Links::to(listens.clone())?),
            false => None,
        };
        let address = |i| links.as_ref().map_or(listens[i], |links| links.address(i));
        let founders: Vec<Founder> = (0..count)
            .map(|i| Founder {
                name: format!("node{}", i + 1),
                address: address(i),
            })
            .collect();
        let nodes: Vec<Node> = iter::zip(&founders, &ports)
            .map(|(founder, ports)| {
                let mut config = NodeConfig::new(&founder.name, dir.path(), ports);
                config.advertise = founder.address;
                config.founders.clone_from(&founders);
                cluster_keys.clone_into(&mut config.cluster_keys);
                Node::new(dir.path(), config)
            })
            .collect::<Result<_>>()?;
        if let Some(links) = &links {
            links.attach(nodes.iter().map(Node::process_id).collect());
        }
        Ok(Self {
            nodes,
            links,
            dir,
            ports,
        })
    }

    /// The network between the nodes.
    ///
    /// # Panics
    ///
    /// When they were not made with [`Self::prepare_linked`].
    #[must_use]
    pub fn links(&self) -> &Links {
        self.links
            .as_ref()
            .expect("a cluster made with prepare_linked")
    }

    /// Adds a node that is no founder, named after its number, and does not start it. It knows the
    /// nodes `seeds`, by their indexes. Returns its index.
    ///
    /// # Errors
    ///
    /// When files or ports are not to be had.
    pub fn add_node(&mut self, seeds: &[usize]) -> Result<usize> {
        let ports = PortBlock::reserve()?;
        let index = self.nodes.len();
        let name = format!("node{}", index + 1);
        let mut config = NodeConfig::new(&name, self.dir.path(), &ports);
        let seeds = seeds
            .iter()
            .map(|seed| self.nodes[*seed].config().advertise);
        config.seeds = Some(seeds.collect());
        config
            .cluster_keys
            .clone_from(&self.nodes[0].config().cluster_keys);
        self.nodes.push(Node::new(self.dir.path(), config)?);
        self.ports.push(ports);
        Ok(index)
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
