//! Nodes that come to a large table, and one that dies.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use switchyard_registry::registry_api::Component;
use switchyard_tests::{Cluster, eventually};
use tokio::runtime::Runtime;

use super::{FIRST, Places};
use crate::api::Api;
use crate::{crowd, usage};

/// Longest wait for the rows of a dead node to go: lease, election and time to spare.
const GONE: Duration = Duration::from_secs(60);

/// A node joins as a learner, is killed, and starts again.
pub(super) fn join(
    cluster: &mut Cluster,
    places: &Places,
    domains: usize,
    expected: &[Component],
    runtime: &Runtime,
) -> Result<()> {
    for what in ["a new learner", "the same, killed and started again"] {
        let node = &mut cluster[places.late()];
        node.kill();
        let start = Instant::now();
        node.start()?;
        node.wait_ready()?;
        let ready = start.elapsed();
        let list_start = Instant::now();
        let rows = runtime.block_on(Api::list_of(node))?;
        let listed = list_start.elapsed();
        ensure!(
            rows == expected,
            "{} rows, not {}",
            rows.len(),
            expected.len()
        );
        let pid = node.pid().context("it does not run")?;
        println!(
            "{what}: ready after {:.2} s with {domains} domains, {:.2} s CPU, {} KiB resident; its List \
             is that of the others, read in {:.2} s",
            ready.as_secs_f64(),
            usage::cpu_time(&[pid])?.as_secs_f64(),
            usage::memory_kib(&[pid])?,
            listed.as_secs_f64()
        );
    }
    Ok(())
}

/// A node with its share of the components dies.
pub(super) fn kill_one(
    cluster: &mut Cluster,
    places: &Places,
    domains: usize,
    runtime: &Runtime,
) -> Result<()> {
    let leader = cluster.leader()?;
    let victim = (0..places.holders)
        .find(|index| *index != leader && *index != 0)
        .context("no node to kill")?;
    let first = FIRST + domains * victim / places.holders;
    let mut api = runtime.block_on(Api::connect(&cluster[places.observer()]))?;
    let start = Instant::now();
    cluster[victim].kill();
    eventually("the rows of the dead node to go", GONE, || {
        let is_there = runtime.block_on(api.has(crowd::domain(first)))?;
        ensure!(!is_there, "still there");
        Ok(())
    })?;
    let gone = start.elapsed();
    let rows = runtime.block_on(api.list())?;
    let name = cluster[victim].name().to_owned();
    ensure!(
        rows.iter().all(|row| row.node != name),
        "rows of {name} are left"
    );
    println!(
        "{name} killed with {} domains: gone from the others after {:.1} s",
        domains / places.holders,
        gone.as_secs_f64()
    );
    Ok(())
}
