//! Clusters whose nodes are killed, stopped and cut off at random, while components come and go
//! (contract D1, R2, R3, R5, R7). docs/testing.md says how to run more of it.

mod faults;
mod ledger;
mod observer;
mod visitors;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use parking_lot::Mutex;
use switchyard_tests::{Cluster, Node, Traffic, eventually};

use crate::faults::Faults;
use crate::ledger::{Incarnations, Ledger, Row, incarnations, rows};
use crate::visitors::Visitor;

/// Short, so that being given up takes seconds.
const KEYS: &str = "lease = 5000";
const LEASE: Duration = Duration::from_secs(5);
const VISITORS: usize = 3;
/// A round begins and ends with a cluster that is whole. What went on meanwhile may have left much
/// to catch up with.
const RECOVERY: Duration = Duration::from_secs(60);

#[test]
fn three_nodes_have_the_right_table_after_any_faults() -> Result<()> {
    run(3, 1, 2)
}

#[test]
fn five_nodes_have_the_right_table_after_any_faults() -> Result<()> {
    run(5, 2, 1)
}

/// One cluster at a time: a machine that is busy with another makes leases run out.
static TURN: Mutex<()> = Mutex::new(());

fn run(nodes: usize, seed: u64, rounds: u64) -> Result<()> {
    let _turn = TURN.lock();
    let seed = number("CHAOS_SEED").unwrap_or(seed);
    let rounds = number("CHAOS_ROUNDS").unwrap_or(rounds);
    eprintln!("{nodes} nodes: CHAOS_SEED={seed} CHAOS_ROUNDS={rounds}");
    let cluster = Cluster::prepare_linked(nodes, KEYS)?;
    for node in cluster.iter() {
        let mut text = fs::read_to_string(node.config_file())?;
        for listener in ["hidden_components = true\n", "\"kick_old\"\n"] {
            let option = format!("{listener}conflict_scope = \"cluster\"\n");
            text = text.replace(listener, &option);
        }
        fs::write(node.config_file(), text)?;
    }
    cluster.run(|cluster| {
        cluster.start_all()?;
        let mut chance = Rng::with_seed(seed);
        let ledger = Ledger::new(nodes);
        let mut visitors: Vec<Visitor> = (0..VISITORS)
            .map(|number| Visitor::new(number, chance.fork(), cluster))
            .collect();
        for round in 0..rounds {
            eprintln!("--- round {round}");
            play(cluster, &ledger, &mut visitors, round, &mut chance)
                .with_context(|| format!("round {round} of CHAOS_SEED={seed}, {nodes} nodes"))?;
        }
        Ok(())
    })
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// Faults while components come and go and send, then peace, in which everything has to become
/// right.
fn play(
    cluster: &mut Cluster,
    ledger: &Ledger,
    visitors: &mut [Visitor],
    round: u64,
    chance: &mut Rng,
) -> Result<()> {
    let before = incarnations(&cluster[0])?;
    ledger.begin_round(before.clone());
    let domains: Vec<String> = (0..cluster.len())
        .map(|i| format!("traffic{i}.{round}.example"))
        .collect();
    let senders = cluster.iter().zip(&domains).map(|(node, domain)| {
        let component = node.connect(domain)?;
        Ok((domain.clone(), component))
    });
    let traffic = Traffic::between(senders.collect::<Result<_>>()?);

    let is_over = AtomicBool::new(false);
    let mut faults = Faults::new(chance.fork());
    let apis: Vec<_> = cluster.iter().map(|node| node.config().api).collect();
    thread::scope(|scope| {
        let visiting: Vec<_> = visitors
            .iter_mut()
            .map(|visitor| scope.spawn(|| visitor.visit(ledger, &is_over)))
            .collect();
        let observing: Vec<_> = apis
            .iter()
            .map(|api| scope.spawn(|| observer::observe(*api, ledger, &is_over)))
            .collect();
        let played = faults.play(cluster, ledger);
        let healed = heal(cluster);
        is_over.store(true, Ordering::Relaxed);
        for thread in visiting.into_iter().chain(observing) {
            thread.join().expect("no thread panics")?;
        }
        played?;
        healed
    })?;

    let killed: Vec<&str> = with(&domains, |node| ledger.was_killed(node));
    let after = converge(cluster, ledger, visitors, &killed, &domains)?;
    let hung: Vec<&str> = with(&domains, |node| {
        let name = cluster[node].name();
        !ledger.was_killed(node) && before.get(name) != after.get(name)
    });
    eprintln!("killed: {killed:?}, given up meanwhile: {hung:?}");
    for visitor in visitors {
        visitor
            .greet(ledger)
            .context("contract R7, after the faults")?;
    }
    traffic.finish_with(&killed, &hung, &[]).map(drop)
}

fn with(domains: &[String], holds: impl Fn(usize) -> bool) -> Vec<&str> {
    let domains = domains.iter().enumerate();
    let domains = domains.filter(|(node, _)| holds(*node));
    domains.map(|(_, domain)| domain.as_str()).collect()
}

/// Mends everything, and waits until every node is ready. None may have ended by itself.
fn heal(cluster: &mut Cluster) -> Result<()> {
    cluster.links().heal_all();
    for node in cluster.iter_mut() {
        if node.is_running() {
            node.resume()?;
        } else {
            node.start()?;
        }
    }
    cluster.iter_mut().try_for_each(Node::wait_ready)
}

/// Waits until every node lists what is connected, and nothing else. The lives of the nodes then.
fn converge(
    cluster: &Cluster,
    ledger: &Ledger,
    visitors: &mut [Visitor],
    killed: &[&str],
    traffic: &[String],
) -> Result<Incarnations> {
    eventually("every node to list what is connected", RECOVERY, || {
        let mut expected = BTreeSet::new();
        for (node, domain) in traffic.iter().enumerate() {
            if !killed.contains(&domain.as_str()) {
                expected.insert((domain.clone(), cluster[node].name().to_owned()));
            }
        }
        for visitor in visitors.iter_mut() {
            let connected = visitor.connected(ledger)?;
            let named = connected.into_iter();
            expected.extend(named.map(|(domain, node)| (domain, cluster[node].name().to_owned())));
        }
        for node in cluster.iter() {
            compare(&expected, &rows(node.config().api, false)?)
                .with_context(|| format!("on {}", node.name()))?;
        }
        Ok(())
    })?;
    let lives = incarnations(&cluster[0])?;
    for node in cluster.iter() {
        let life = |row: &Row| lives.get(&row.node) == Some(&row.incarnation);
        let rows = rows(node.config().api, false)?;
        let stale: Vec<_> = rows.iter().filter(|row| !life(row)).collect();
        ensure!(
            stale.is_empty(),
            "rows of former lives: {stale:?} {lives:?}"
        );
    }
    Ok(lives)
}

fn compare(expected: &BTreeSet<(String, String)>, listed: &[Row]) -> Result<()> {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for row in listed {
        *counts
            .entry((row.domain.clone(), row.node.clone()))
            .or_default() += 1;
    }
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    ensure!(twice.is_empty(), "listed twice: {twice:?}");
    let listed: BTreeSet<_> = counts.into_keys().collect();
    let missing: Vec<_> = expected.difference(&listed).collect();
    let wrong: Vec<_> = listed.difference(expected).collect();
    ensure!(
        missing.is_empty() && wrong.is_empty(),
        "connected and not listed: {missing:?}; listed and not connected: {wrong:?}"
    );
    Ok(())
}
