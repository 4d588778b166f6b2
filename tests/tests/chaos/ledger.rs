use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use serde_json::Value;
use switchyard_tests::{Node, cli};

use crate::visitors::is_exclusive;

/// The incarnation of each node that is in a life, by the node's name.
pub(crate) type Incarnations = BTreeMap<String, u64>;

/// What is known to be connected, and what was done to the nodes.
#[derive(Debug)]
pub(crate) struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    nodes: Vec<NodeRecord>,
    connections: BTreeMap<u64, Connection>,
    next: u64,
    /// When the round began.
    incarnations: Incarnations,
}

#[derive(Debug, Clone, Default)]
struct NodeRecord {
    /// How often it was killed so far.
    kills: u64,
    is_killed_in_round: bool,
    /// It was killed, stopped, or cut off from anybody in this round.
    is_disturbed: bool,
}

/// A component that has got its handshake.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) domain: String,
    pub(crate) node: usize,
    since: Instant,
    /// Before it began to end.
    until: Option<Instant>,
}

/// One row of `switchyard components --json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) domain: String,
    pub(crate) node: String,
    pub(crate) incarnation: u64,
}

impl Ledger {
    pub(crate) fn new(nodes: usize) -> Self {
        let inner = Inner {
            nodes: vec![NodeRecord::default(); nodes],
            connections: BTreeMap::new(),
            next: 0,
            incarnations: Incarnations::new(),
        };
        Self {
            inner: Mutex::new(inner),
        }
    }

    /// Nothing has happened to the nodes yet, whose lives are these.
    pub(crate) fn begin_round(&self, incarnations: Incarnations) {
        let mut inner = self.inner.lock();
        inner.incarnations = incarnations;
        inner.connections.retain(|_, c| c.until.is_none());
        for node in &mut inner.nodes {
            node.is_disturbed = false;
            node.is_killed_in_round = false;
        }
    }

    /// The life in which the node began the round.
    pub(crate) fn incarnation(&self, node: &str) -> Option<u64> {
        self.inner.lock().incarnations.get(node).copied()
    }

    // === what is done to nodes: said before it is done ===

    pub(crate) fn disturb(&self, node: usize) {
        self.inner.lock().nodes[node].is_disturbed = true;
    }

    /// Its connections end.
    pub(crate) fn kill(&self, node: usize) {
        let mut inner = self.inner.lock();
        let record = &mut inner.nodes[node];
        record.kills += 1;
        record.is_killed_in_round = true;
        record.is_disturbed = true;
        let now = Instant::now();
        for connection in inner.connections.values_mut() {
            if connection.node == node && connection.until.is_none() {
                connection.until = Some(now);
            }
        }
    }

    pub(crate) fn is_disturbed(&self, node: usize) -> bool {
        self.inner.lock().nodes[node].is_disturbed
    }

    /// In this round.
    pub(crate) fn was_killed(&self, node: usize) -> bool {
        self.inner.lock().nodes[node].is_killed_in_round
    }

    /// How often it was killed so far: another number means another process.
    pub(crate) fn kills(&self, node: usize) -> u64 {
        self.inner.lock().nodes[node].kills
    }

    // === connections ===

    /// A component has got its handshake from the process that the node was after so many kills.
    /// Its number.
    pub(crate) fn connected(&self, domain: &str, node: usize, kills: u64) -> u64 {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        let is_over = inner.nodes[node].kills != kills;
        let connection = Connection {
            domain: domain.to_owned(),
            node,
            since: now,
            until: is_over.then_some(now),
        };
        inner.next += 1;
        let number = inner.next;
        inner.connections.insert(number, connection);
        number
    }

    /// It is about to end, or has been found to have ended.
    pub(crate) fn ends(&self, number: u64) {
        if let Some(connection) = self.inner.lock().connections.get_mut(&number) {
            connection.until.get_or_insert_with(Instant::now);
        }
    }

    /// Those that were connected from before `from` until now to nodes that nothing has happened to,
    /// and share their names.
    pub(crate) fn lasting(&self, from: Instant) -> Vec<Connection> {
        let inner = self.inner.lock();
        let connections = inner.connections.values();
        connections
            .filter(|c| c.since < from && c.until.is_none())
            .filter(|c| !inner.nodes[c.node].is_disturbed && !is_exclusive(&c.domain))
            .cloned()
            .collect()
    }
}

// === what nodes say ===

/// What the node at `api` lists.
pub(crate) fn rows(api: SocketAddr, linearizable: bool) -> Result<Vec<Row>> {
    let api = api.to_string();
    let mut line = vec!["components", "--json", "--api", &api];
    if linearizable {
        line.push("--linearizable");
    }
    let listed = cli::json(line)?;
    let rows = listed["components"].as_array().context("no components")?;
    rows.iter()
        .map(|row| read_row(row).with_context(|| format!("what is {row}")))
        .collect()
}

fn read_row(row: &Value) -> Option<Row> {
    Some(Row {
        domain: row["domain"].as_str()?.to_owned(),
        node: row["node"].as_str()?.to_owned(),
        incarnation: row["incarnation"].as_u64()?,
    })
}

/// The lives of all nodes, as `node` knows them.
pub(crate) fn incarnations(node: &Node) -> Result<Incarnations> {
    let status = node.query(&["cluster", "status"])?;
    let nodes = status["nodes"].as_array().context("no nodes")?;
    let life = |row: &Value| {
        let incarnation = row["incarnation"].as_u64().filter(|number| *number > 0)?;
        Some((row["node"].as_str()?.to_owned(), incarnation))
    };
    Ok(nodes.iter().filter_map(life).collect())
}
