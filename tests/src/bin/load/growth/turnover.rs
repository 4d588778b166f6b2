//! Snapshots, and what is on disk.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use switchyard_tests::{Cluster, Node};
use tokio::runtime::Runtime;

use super::{Places, SETTLED, door};
use crate::crowd::Doors;
use crate::usage;

/// Numbers of components that come and go, and how many at a time.
const PASSING: usize = 10_000_000;
const TURNS: usize = 500;
/// How long they may take.
const TURNING: Duration = Duration::from_secs(300);

/// Components come and go one by one on every node until each node has kept a snapshot.
pub(super) fn until_snapshots(cluster: &Cluster, places: &Places, runtime: &Runtime) -> Result<()> {
    let nodes = 0..places.holders;
    let doors = Doors::new(nodes.map(|index| door(&cluster[index])), None);
    let running = 0..=places.observer();
    let (start, mut turns) = (Instant::now(), 0);
    while !running
        .clone()
        .all(|index| !snapshots(&cluster[index]).is_empty())
    {
        ensure!(
            start.elapsed() < TURNING,
            "no snapshot after {turns} components"
        );
        let numbers = PASSING..PASSING + TURNS;
        runtime.block_on(doors.connect_all(numbers, places.holders))?;
        turns += TURNS;
    }
    thread::sleep(SETTLED);
    for index in running {
        let node = &cluster[index];
        for line in snapshots(node) {
            println!("{}: {line}", node.name());
        }
    }
    Ok(())
}

/// What a node has logged about the snapshots that it has built.
fn snapshots(node: &Node) -> Vec<String> {
    const LINE: &str = "Kept a snapshot";
    let log = node.log();
    let lines = log
        .lines()
        .filter_map(|line| Some(line[line.find(LINE)?..].to_owned()));
    lines.collect()
}

/// Reports what the nodes have on disk.
pub(super) fn report_disk(cluster: &Cluster) -> Result<()> {
    for node in cluster.iter().filter(|node| node.is_running()) {
        let directory = &node.config().data_dir;
        let snapshot = std::fs::metadata(directory.join("snapshot")).map_or(0, |file| file.len());
        println!(
            "{}: {} KiB on disk, the snapshot {} KiB of them",
            node.name(),
            usage::disk_kib(directory)?,
            snapshot / 1024
        );
    }
    Ok(())
}
