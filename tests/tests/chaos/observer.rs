use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use switchyard_tests::{PATIENCE, cli};

use crate::ledger::{Connection, Ledger, Row, rows};
use crate::visitors::is_exclusive;

const INTERVAL: Duration = Duration::from_millis(700);

/// Asks one node again and again, linearizably, who is connected. What has to be true whenever it
/// answers at all: whoever is connected to a node that nothing has happened to is listed, and a name
/// with one owner has one owner.
pub(crate) fn observe(api: SocketAddr, ledger: &Ledger, is_over: &AtomicBool) -> Result<()> {
    while !is_over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        // It may be dead, stopped, or without a quorum.
        if let Ok(listed) = rows(api, true) {
            check_owners(&listed)?;
            for connection in ledger.lasting(asked) {
                if !has(&listed, &connection) {
                    check_given_up(api, ledger, &connection)?;
                }
            }
        }
        thread::sleep(INTERVAL);
    }
    Ok(())
}

fn check_owners(listed: &[Row]) -> Result<()> {
    let exclusive: Vec<&Row> = listed
        .iter()
        .filter(|row| is_exclusive(&row.domain))
        .collect();
    for (at, row) in exclusive.iter().enumerate() {
        let again = exclusive[at + 1..]
            .iter()
            .find(|other| other.domain == row.domain);
        ensure!(
            again.is_none(),
            "two owners of one name: {row:?} and {again:?}"
        );
    }
    Ok(())
}

fn has(listed: &[Row], connection: &Connection) -> bool {
    let node = name(connection.node);
    let is_it = |row: &Row| row.domain == connection.domain && row.node == node;
    listed.iter().any(is_it)
}

fn name(node: usize) -> String {
    format!("node{}", node + 1)
}

/// A busy machine may starve a node of its lease without any fault: then it begins another life.
fn check_given_up(api: SocketAddr, ledger: &Ledger, connection: &Connection) -> Result<()> {
    let node = name(connection.node);
    let before = ledger.incarnation(&node);
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if ledger.is_disturbed(connection.node) {
            // Since the answer; the next will tell.
            return Ok(());
        }
        let status = cli::json(["cluster", "status", "--json", "--api", &api.to_string()]);
        let status = status.unwrap_or_default();
        let rows = status["nodes"].as_array().into_iter().flatten();
        let mut lives = rows.filter(|row| row["node"] == node.as_str());
        let life = lives.find_map(|row| row["incarnation"].as_u64());
        if life.is_some_and(|life| Some(life) != before) {
            eprintln!("{node} was given up though nothing has happened to it");
            return Ok(());
        }
        thread::sleep(INTERVAL);
    }
    bail!("connected and not listed: {connection:?}")
}
