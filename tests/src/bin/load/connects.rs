//! What it costs to connect, to register, and to be there.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use switchyard_tests::{Cluster, Listener};

use super::client::Client;
use super::{Args, usage};

/// Connects `count` components, spread over the nodes, and reports rate, latency, CPU and memory.
pub(crate) fn measure(args: &Args, count: usize, cluster: &Cluster, servers: &[u32]) -> Result<()> {
    // The first connections pay for what all of them share.
    let warm = connect_all(args, 0..args.parallel.min(count), cluster)?;
    let memory = usage::memory_kib(servers)?;
    let cpu = usage::cpu_time(servers)?;
    let start = Instant::now();
    let clients = connect_all(args, warm.len()..warm.len() + count, cluster)?;
    let elapsed = start.elapsed();
    let cpu = usage::cpu_time(servers)? - cpu;
    thread::sleep(Duration::from_secs(1));
    let memory = usage::memory_kib(servers)?.saturating_sub(memory);
    let mut latencies: Vec<_> = clients.iter().map(|client| client.registered_in).collect();
    latencies.sort_unstable();
    let quantile = |percent: usize| latencies[(count * percent / 100).min(count - 1)];
    println!(
        "{} node(s), {count} components, {} at once: {:.0} registered/s, p50 {:.2} ms, p99 {:.2} ms, \
         {:.0} CPU µs and {:.1} KiB each",
        args.nodes,
        args.parallel,
        count as f64 / elapsed.as_secs_f64(),
        quantile(50).as_secs_f64() * 1e3,
        quantile(99).as_secs_f64() * 1e3,
        cpu.as_secs_f64() * 1e6 / count as f64,
        memory as f64 / count as f64,
    );
    Ok(())
}

fn connect_all(
    args: &Args,
    numbers: std::ops::Range<usize>,
    cluster: &Cluster,
) -> Result<Vec<Client>> {
    let next = AtomicUsize::new(numbers.start);
    let connect_some = || {
        let mut clients = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return Ok(clients);
            }
            let node = &cluster[number % args.nodes];
            let address = node.listener(Listener::Disconnect);
            clients.push(Client::connect(
                address,
                &format!("c{number}.load.example"),
            )?);
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..args.parallel)
            .map(|_| scope.spawn(connect_some))
            .collect();
        let mut all = Vec::new();
        for thread in threads {
            let clients: Result<Vec<Client>> = thread
                .join()
                .map_err(|_| anyhow!("a connecting thread panicked"))?;
            all.extend(clients?);
        }
        Ok(all)
    })
}
