//! What a stanza costs.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use switchyard_tests::{Cluster, Listener};
use tokio::runtime::Runtime;

use super::args::Load;
use super::client::Client;
use super::pair::{Pair, Progress};
use super::{pids, pinning, usage};

/// Sends stanzas between pairs of components and reports rate and CPU time.
pub(crate) fn measure(load: &Load, runtime: &Runtime) -> Result<()> {
    Cluster::start(load.nodes.unwrap_or(1))?.run(|cluster| {
        let servers = pids(cluster);
        if !load.no_pin {
            pinning::pin(&servers)?;
        }
        let progress = Arc::new(Progress::default());
        let pairs: Vec<Pair> = (0..load.pairs)
            .map(|index| runtime.block_on(connect(load, cluster, index)))
            .collect::<Result<_>>()?;
        for pair in pairs {
            pair.start(&progress);
        }
        thread::sleep(Duration::from_secs(1));
        let before = usage::cpu_time(&servers)?;
        let delivered_before = progress.delivered();
        thread::sleep(Duration::from_secs(load.seconds));
        let delivered = progress.delivered() - delivered_before;
        let cpu = usage::cpu_time(&servers)? - before;
        progress.stop();
        report(
            load,
            cluster.len(),
            delivered,
            cpu,
            usage::memory_kib(&servers)?,
        );
        Ok(())
    })
}

async fn connect(load: &Load, cluster: &Cluster, index: usize) -> Result<Pair> {
    let address = |offset: usize| {
        let node = &cluster[(index + offset) % cluster.len()];
        node.listener(Listener::Disconnect)
    };
    let sender = Client::connect(address(0), format!("from{index}.load.example")).await?;
    let receiver = Client::connect(address(1), format!("to{index}.load.example")).await?;
    Pair::new(sender, receiver, load.body, load.window, load.rate)
}

fn report(load: &Load, nodes: usize, delivered: u64, cpu: Duration, memory_kib: u64) {
    let seconds = load.seconds as f64;
    let micros = cpu.as_secs_f64() * 1e6 / (delivered.max(1)) as f64;
    println!(
        "{nodes} node(s), {} pairs, body {} B, {}: {:.0} stanzas/s, {micros:.3} CPU µs/stanza, \
         servers used {:.0} % of one CPU, {} KiB resident",
        load.pairs,
        load.body,
        load.rate.map_or_else(
            || format!("window {}", load.window),
            |rate| format!("{rate}/s each")
        ),
        delivered as f64 / seconds,
        cpu.as_secs_f64() / seconds * 100.0,
        memory_kib,
    );
}
