//! What happens when a node dies and its components come back at once.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use switchyard_tests::{Cluster, Listener};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::args::Load;
use super::client::Client;
use super::crowd::Doors;
use super::quantiles::Quantiles;
use super::{pids, usage};

/// Pause of a component that was refused before it tries again.
const RETRY: Duration = Duration::from_millis(100);
/// Components that connect at once before the node dies.
const BEFORE: usize = 64;

/// A component that is connected again.
struct Back {
    client: Client,
    /// When, after the death of its node.
    after: Duration,
    /// How often it was refused.
    refused: usize,
}

/// Connects `count` components to one node, kills it, and connects all of them to the others at
/// once. Reports how fast they are registered there.
pub(crate) fn measure(load: &Load, count: usize, runtime: &Runtime) -> Result<()> {
    Cluster::start(load.nodes.unwrap_or(3))?.run(|cluster| {
        let leader = cluster.leader()?;
        let victim = if load.leader {
            leader
        } else {
            (leader + 1) % cluster.len()
        };
        let door = |index: usize| cluster[index].listener(Listener::Disconnect);
        let doors = Doors::new([door(victim)], None);
        let before = runtime.block_on(doors.connect_all(0..count, BEFORE))?;
        let others: Vec<SocketAddr> = (0..cluster.len())
            .filter(|index| *index != victim)
            .map(door)
            .collect();
        thread::sleep(Duration::from_secs(1));
        cluster[victim].kill();
        drop(before);
        let servers = pids(cluster);
        let cpu = usage::cpu_time(&servers)?;
        let back = runtime.block_on(come_back(count, others))?;
        let cpu = usage::cpu_time(&servers)? - cpu;
        report(load, cluster.len(), cpu, &back);
        Ok(())
    })
}

async fn come_back(count: usize, others: Vec<SocketAddr>) -> Result<Vec<Back>> {
    let doors = Doors::new(others, None);
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let doors = doors.clone();
        tasks.spawn(async move {
            let mut refused = 0;
            loop {
                match doors.connect(number).await {
                    Ok(client) => {
                        return Back {
                            client,
                            after: start.elapsed(),
                            refused,
                        };
                    }
                    Err(_) => refused += 1,
                }
                tokio::time::sleep(RETRY).await;
            }
        });
    }
    let mut back = Vec::with_capacity(count);
    while let Some(one) = tasks.join_next().await {
        back.push(one.context("a component's task failed")?);
    }
    Ok(back)
}

fn report(load: &Load, nodes: usize, cpu: Duration, back: &[Back]) {
    let count = back.len();
    let after = Quantiles::new(back.iter().map(|back| back.after).collect());
    let last = after.at(100);
    let handshakes = back.iter().map(|back| back.client.registered_in).collect();
    let refused: usize = back.iter().map(|back| back.refused).sum();
    println!(
        "{nodes} nodes, {} killed, {count} components back at once: {:.0} registered/s, the last \
         after {:.2} s, {:.0} CPU µs each, {refused} refusals; back after its node's death: {after}; \
         from <handshake> to <handshake/>: {}",
        if load.leader {
            "the leader"
        } else {
            "a follower"
        },
        count as f64 / last.as_secs_f64(),
        last.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / count as f64,
        Quantiles::new(handshakes),
    );
}
