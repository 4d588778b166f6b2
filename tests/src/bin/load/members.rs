//! What a cluster of many nodes costs.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use switchyard_tests::{Listener, Node, PATIENCE, eventually};
use tokio::runtime::Runtime;

use super::api::Api;
use super::args::Load;
use super::crowd::Doors;
use super::{fleet, pids, usage};

/// Components on each node.
const COMPONENTS: usize = 10;
/// How long all nodes together may take to become ready.
const FORMING: Duration = Duration::from_secs(300);

/// Forms a cluster of `count` nodes, connects components to each, and reports how long that takes
/// and what the nodes cost when nothing happens.
pub(crate) fn measure(load: &Load, count: usize, runtime: &Runtime) -> Result<()> {
    fleet::prepare(count)?.run(|cluster| {
        let start = Instant::now();
        cluster.iter_mut().try_for_each(Node::start)?;
        while let Err(error) = cluster.iter_mut().try_for_each(Node::wait_ready) {
            ensure!(start.elapsed() < FORMING, "{error:#}");
        }
        let formed = start.elapsed();
        let addresses = cluster.iter().map(|node| node.listener(Listener::Disconnect));
        let doors = Doors::new(addresses, None);
        let _clients = runtime.block_on(doors.connect_all(0..count * COMPONENTS, load.parallel))?;
        let expected = runtime.block_on(Api::list_of(&cluster[0]))?;
        ensure!(expected.len() == count * COMPONENTS, "{} rows", expected.len());
        for node in cluster.iter() {
            eventually("the same list everywhere", PATIENCE, || {
                let rows = runtime.block_on(Api::list_of(node))?;
                ensure!(rows == expected, "{} has {} rows", node.name(), rows.len());
                Ok(())
            })?;
        }
        thread::sleep(Duration::from_secs(2));
        let servers = pids(cluster);
        let cpu = usage::share_of_cpu(&servers, Duration::from_secs(load.seconds))?;
        let leader = cluster[cluster.leader()?].pid();
        let of_leader =
            usage::share_of_cpu(leader.as_slice(), Duration::from_secs(load.seconds))?;
        let mut memory: Vec<u64> = servers
            .iter()
            .map(|pid| usage::memory_kib(&[*pid]))
            .collect::<Result<_>>()?;
        memory.sort_unstable();
        println!(
            "{count} nodes: ready after {:.1} s, {} components on all of them; idle: {cpu:.1} % of one \
             CPU for all, {of_leader:.1} % for the leader; resident: {} to {} KiB each, {} KiB in all",
            formed.as_secs_f64(),
            expected.len(),
            memory.first().copied().unwrap_or_default(),
            memory.last().copied().unwrap_or_default(),
            memory.iter().sum::<u64>(),
        );
        Ok(())
    })
}
