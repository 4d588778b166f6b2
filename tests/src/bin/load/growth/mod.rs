//! What a large table costs.

mod coming_and_going;
mod costs;
mod spread;
mod turnover;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use switchyard_tests::{Cluster, Listener, Node};
use tokio::runtime::Runtime;

use super::api::Api;
use super::args::Load;
use super::fleet::{self, VOTERS};
use super::holder::Holder;
use super::{limits, pids, usage};

/// Components that receive stanzas, in the small table and in the large one.
const RECEIVERS: usize = 100;
/// Where the components of the growing table get their numbers from.
const FIRST: usize = RECEIVERS;
/// How long nodes may still work on what they have applied, generously.
const SETTLED: Duration = Duration::from_secs(3);

/// The nodes: those that hold components, then one that only has the table, then one that comes late.
struct Places {
    /// How many hold components.
    holders: usize,
}

impl Places {
    fn new(load: &Load, domains: usize) -> Self {
        let least = load.nodes.unwrap_or(VOTERS).max(VOTERS);
        Self {
            holders: least.max(domains.div_ceil(limits::components_per_node())),
        }
    }

    /// The node that has the table and no components.
    fn observer(&self) -> usize {
        self.holders
    }

    /// The node that joins when the table is large.
    fn late(&self) -> usize {
        self.holders + 1
    }
}

/// Registers `domains` components and reports what the table costs.
pub(crate) fn measure(load: &Load, domains: usize, runtime: &Runtime) -> Result<()> {
    let places = Places::new(load, domains);
    fleet::prepare(places.late() + 1)?.run(|cluster| {
        println!(
            "{domains} domains on {} nodes ({VOTERS} voters); a process may hold {} components here",
            places.holders,
            limits::components_per_node()
        );
        for index in 0..=places.observer() {
            cluster[index].start()?;
        }
        for index in 0..=places.observer() {
            cluster[index].wait_ready()?;
        }
        let mut spread = runtime.block_on(costs::spread(&cluster[0]))?;
        thread::sleep(SETTLED);
        let empty = memory(cluster)?;
        costs::report(cluster, RECEIVERS, &mut spread, runtime)?;

        let holders = register(load, domains, cluster, &places)?;
        thread::sleep(SETTLED);
        report_memory(cluster, &places, domains, &empty)?;
        costs::report(cluster, domains, &mut spread, runtime)?;
        let share = usage::share_of_cpu(&pids(cluster), Duration::from_secs(load.seconds.max(10)))?;
        println!("idle: {share:.1} % of one CPU for {} nodes", cluster.len() - 1);

        turnover::until_snapshots(cluster, &places, runtime)?;
        turnover::report_disk(cluster)?;
        let expected = runtime.block_on(Api::list_of(&cluster[0]))?;
        ensure!(expected.len() >= domains, "{} rows", expected.len());
        coming_and_going::join(cluster, &places, domains, &expected, runtime)?;
        coming_and_going::kill_one(cluster, &places, domains, runtime)?;
        drop(holders);
        Ok(())
    })
}

/// Resident memory of each node that runs, in KiB.
fn memory(cluster: &Cluster) -> Result<Vec<u64>> {
    let of = |pid: &u32| usage::memory_kib(&[*pid]);
    pids(cluster).iter().map(of).collect()
}

fn register(
    load: &Load,
    domains: usize,
    cluster: &Cluster,
    places: &Places,
) -> Result<Vec<Holder>> {
    let start = Instant::now();
    let cpu = usage::cpu_time(&pids(cluster))?;
    let mut holders = Vec::new();
    for index in 0..places.holders {
        let first = domains * index / places.holders;
        let next = domains * (index + 1) / places.holders;
        let address = door(&cluster[index]);
        let (first, count) = (FIRST + first, next - first);
        holders.push(Holder::start(address, first, count, load.parallel)?);
    }
    holders.iter_mut().try_for_each(Holder::wait)?;
    let elapsed = start.elapsed();
    let cpu = usage::cpu_time(&pids(cluster))? - cpu;
    println!(
        "registered in {:.1} s: {:.0}/s, {:.0} CPU µs each, all nodes summed",
        elapsed.as_secs_f64(),
        domains as f64 / elapsed.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / domains as f64
    );
    Ok(holders)
}

fn report_memory(cluster: &Cluster, places: &Places, domains: usize, empty: &[u64]) -> Result<()> {
    let full = memory(cluster)?;
    let more = |index: usize| full[index].saturating_sub(empty[index]) as f64 * 1024.0;
    let observer = places.observer();
    println!(
        "the table: {:.0} octets for a domain on a node without components, {} KiB resident, {} KiB \
         before",
        more(observer) / domains as f64,
        full[observer],
        empty[observer]
    );
    for index in 0..places.holders {
        println!(
            "{}: {} KiB resident, {} KiB before, {:.1} KiB for each of its components, table \
             included",
            cluster[index].name(),
            full[index],
            empty[index],
            more(index) / 1024.0 / (domains as f64 / places.holders as f64)
        );
    }
    Ok(())
}

fn door(node: &Node) -> SocketAddr {
    node.listener(Listener::Disconnect)
}
