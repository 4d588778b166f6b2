//! What it costs to connect, to register, and to be there.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use switchyard_tests::{Cluster, Listener};
use tokio::runtime::Runtime;

use super::args::Load;
use super::crowd::{self, Doors};
use super::{pids, pinning, tls, usage};

/// How long nodes may still work on what they have accepted, generously.
const SETTLED: Duration = Duration::from_secs(2);

/// Connects `count` components, spread over the nodes, and reports rate, latency, CPU and memory,
/// and what they cost while they do nothing.
pub(crate) fn measure(load: &Load, count: usize, runtime: &Runtime) -> Result<()> {
    start(load)?.run(|cluster| {
        let servers = pids(cluster);
        let addresses = cluster.iter().map(|node| node.listener(Listener::Disconnect));
        let tls = load.tls.then(|| tls::client(cluster)).transpose()?;
        let doors = Doors::new(addresses, tls);
        let connect = |numbers| runtime.block_on(doors.connect_all(numbers, load.parallel));
        // The first connections pay for what all of them share.
        let warm = connect(0..load.parallel.min(count))?;
        thread::sleep(SETTLED);
        let memory = usage::memory_kib(&servers)?;
        let cpu = usage::cpu_time(&servers)?;
        let start = Instant::now();
        let clients = connect(warm.len()..warm.len() + count)?;
        let elapsed = start.elapsed();
        let cpu = usage::cpu_time(&servers)? - cpu;
        thread::sleep(SETTLED);
        let more = usage::memory_kib(&servers)?.saturating_sub(memory);
        let idle = usage::share_of_cpu(&servers, Duration::from_secs(load.seconds))?;
        println!(
            "{} node(s), {count} components{}, {} at once: {:.0} registered/s, {}, {:.0} CPU µs and \
             {:.1} KiB each, {memory} KiB before; idle: {idle:.1} % of one CPU",
            cluster.len(),
            if load.tls { " over TLS" } else { "" },
            load.parallel,
            count as f64 / elapsed.as_secs_f64(),
            crowd::registered_in(&clients),
            cpu.as_secs_f64() * 1e6 / count as f64,
            more as f64 / count as f64,
        );
        Ok(())
    })
}

fn start(load: &Load) -> Result<Cluster> {
    let mut cluster = Cluster::prepare(load.nodes.unwrap_or(1))?;
    if load.tls {
        tls::configure(&cluster)?;
    }
    cluster.start_all()?;
    if !load.no_pin {
        pinning::pin(&pids(&cluster))?;
    }
    Ok(cluster)
}
