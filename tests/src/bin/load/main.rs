//! Measures Switchyard from outside: clusters of real processes, raw components, and the kernel's
//! accounts of the server processes, so that a figure does not depend on what the load itself costs.
//!
//! ```sh
//! cargo build --release --workspace
//! target/release/load                             # CPU time for a stanza: 10 pairs on one node
//! target/release/load --nodes 2 --body 1024       # each pair spans two nodes
//! target/release/load --pairs 4 --rate 5000       # open loop: each pair sends at that rate
//! target/release/load --connects 5000 --tls       # connections: rate, CPU time, memory
//! target/release/load --connects 400 --nodes 3 --parallel 1   # registrations one at a time
//! target/release/load --failover 10000            # a node dies, its components come back at once
//! target/release/load --growth 100000             # a large table
//! target/release/load --members 30                # a large cluster
//! ```
//!
//! With stanzas and connections the servers are pinned to one CPU and the load to another, by
//! `taskset` (`--no-pin`: not).

mod api;
mod args;
mod client;
mod connects;
mod crowd;
mod failover;
mod fleet;
mod growth;
mod holder;
mod limits;
mod members;
mod pair;
mod pinning;
mod quantiles;
mod stanzas;
mod tls;
mod usage;

use std::process::Command;

use anyhow::{Result, ensure};
use clap::Parser;
use switchyard_tests::{Cluster, Node};
use tokio::runtime::{Builder, Runtime};

use self::args::Load;

fn main() -> Result<()> {
    let load = Load::parse();
    limits::raise_open_files()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    if let Some(held) = load.mode.hold {
        return holder::hold(held, load.parallel, &runtime);
    }
    ensure!(
        load.binary.exists(),
        "{} does not exist: cargo build --release --workspace",
        load.binary.display()
    );
    if std::env::var_os("SWITCHYARD_BIN").is_none() {
        return again_with_binary(&load);
    }
    measure(&load, &runtime)
}

fn measure(load: &Load, runtime: &Runtime) -> Result<()> {
    let mode = &load.mode;
    if let Some(count) = mode.connects {
        connects::measure(load, count, runtime)
    } else if let Some(count) = mode.failover {
        failover::measure(load, count, runtime)
    } else if let Some(domains) = mode.growth {
        growth::measure(load, domains, runtime)
    } else if let Some(nodes) = mode.members {
        members::measure(load, nodes, runtime)
    } else {
        stanzas::measure(load, runtime)
    }
}

/// The fixture finds the server by this variable, which a process cannot safely set for itself.
fn again_with_binary(load: &Load) -> Result<()> {
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env("SWITCHYARD_BIN", load.binary.canonicalize()?)
        .status()?;
    std::process::exit(status.code().unwrap_or(1));
}

/// The processes of the nodes that run.
fn pids(cluster: &Cluster) -> Vec<u32> {
    cluster.iter().filter_map(Node::pid).collect()
}
