//! Measures what a stanza costs: CPU time of the server processes per stanza delivered.
//!
//! ```sh
//! cargo build --release --workspace
//! target/release/load                        # 10 pairs on one node, 64-byte bodies, saturated
//! target/release/load --nodes 2 --body 1024  # each pair spans two nodes
//! target/release/load --pairs 4 --rate 5000  # open loop: each pair sends at that rate
//! target/release/load --connects 2000 --nodes 3   # registrations instead of stanzas
//! ```
//!
//! The servers are pinned to one CPU and the load to another when `taskset` is there (`--no-pin`:
//! not). CPU time is read from the kernel's accounts of the server processes, so it does not depend
//! on what the load itself costs.

mod client;
mod connects;
mod pair;
mod usage;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use switchyard_tests::{Cluster, Listener};

use self::client::Client;
use self::pair::{Pair, Progress};

/// What to measure.
#[derive(Debug, Clone, Parser)]
struct Args {
    /// Nodes; the two components of a pair connect to neighbouring ones.
    #[arg(long, default_value_t = 1)]
    nodes: usize,
    /// Pairs of components, one sending, one receiving.
    #[arg(long, default_value_t = 10)]
    pairs: usize,
    /// Bytes of the message body.
    #[arg(long, default_value_t = 64)]
    body: usize,
    /// Stanzas that a pair keeps in flight (closed loop).
    #[arg(long, default_value_t = 256)]
    window: u64,
    /// Stanzas that each pair sends in a second (open loop) instead of a window.
    #[arg(long)]
    rate: Option<u64>,
    /// Connect that many components as fast as possible, and measure that instead.
    #[arg(long)]
    connects: Option<usize>,
    /// Handshakes under way at once, with --connects.
    #[arg(long, default_value_t = 64)]
    parallel: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Leave placing processes on CPUs to the system.
    #[arg(long)]
    no_pin: bool,
    /// The server's binary.
    #[arg(
        long,
        env = "SWITCHYARD_BIN",
        default_value = "target/release/switchyard"
    )]
    binary: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if !args.binary.exists() {
        bail!(
            "{} does not exist: cargo build --release --workspace",
            args.binary.display()
        );
    }
    if std::env::var_os("SWITCHYARD_BIN").is_none() {
        return again_with_binary(&args);
    }
    Cluster::start(args.nodes)?.run(|cluster| measure(&args, cluster))
}

/// The fixture finds the server by this variable, which a process cannot safely set for itself.
fn again_with_binary(args: &Args) -> Result<()> {
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env("SWITCHYARD_BIN", args.binary.canonicalize()?)
        .status()?;
    std::process::exit(status.code().unwrap_or(1));
}

fn measure(args: &Args, cluster: &Cluster) -> Result<()> {
    let servers: Vec<u32> = (0..args.nodes)
        .filter_map(|index| cluster[index].pid())
        .collect();
    if !args.no_pin {
        pin(&servers)?;
    }
    if let Some(count) = args.connects {
        return connects::measure(args, count, cluster, &servers);
    }
    let progress = Arc::new(Progress::default());
    let pairs: Vec<Pair> = (0..args.pairs)
        .map(|index| connect(args, cluster, index))
        .collect::<Result<_>>()?;
    for pair in pairs {
        pair.start(&progress);
    }
    thread::sleep(Duration::from_secs(1));
    let before = usage::cpu_time(&servers)?;
    let delivered_before = progress.delivered();
    thread::sleep(Duration::from_secs(args.seconds));
    let delivered = progress.delivered() - delivered_before;
    let cpu = usage::cpu_time(&servers)? - before;
    progress.stop();
    report(args, delivered, cpu, usage::memory_kib(&servers)?);
    Ok(())
}

fn connect(args: &Args, cluster: &Cluster, index: usize) -> Result<Pair> {
    let node = |offset: usize| &cluster[(index + offset) % args.nodes];
    let from = format!("from{index}.load.example");
    let to = format!("to{index}.load.example");
    let sender = Client::connect(node(0).listener(Listener::Disconnect), &from)?;
    let receiver = Client::connect(node(1).listener(Listener::Disconnect), &to)?;
    Ok(Pair::new(
        sender,
        receiver,
        args.body,
        args.window,
        args.rate,
    ))
}

/// Servers on the first CPU, the load on the second.
fn pin(servers: &[u32]) -> Result<()> {
    let taskset = |cpu: &str, pid: u32| -> Result<()> {
        let status = Command::new("taskset")
            .args(["-a", "-p", "-c", cpu, &pid.to_string()])
            .stdout(std::process::Stdio::null())
            .status()
            .context("cannot run taskset; --no-pin does without")?;
        if !status.success() {
            bail!("taskset failed; --no-pin does without");
        }
        Ok(())
    };
    servers.iter().try_for_each(|pid| taskset("0", *pid))?;
    taskset("1", std::process::id())
}

fn report(args: &Args, delivered: u64, cpu: Duration, memory_kib: u64) {
    let seconds = args.seconds as f64;
    let micros = cpu.as_secs_f64() * 1e6 / (delivered.max(1)) as f64;
    println!(
        "{} node(s), {} pairs, body {} B, {}: {:.0} stanzas/s, {micros:.3} CPU µs/stanza, \
         servers used {:.0} % of one CPU, {} KiB resident",
        args.nodes,
        args.pairs,
        args.body,
        args.rate.map_or_else(
            || format!("window {}", args.window),
            |rate| format!("{rate}/s each")
        ),
        delivered as f64 / seconds,
        cpu.as_secs_f64() / seconds * 100.0,
        memory_kib,
    );
}
