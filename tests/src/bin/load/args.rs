use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser};

/// Measures Switchyard from outside: real processes, by the kernel's accounts of them.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Load {
    #[command(flatten)]
    pub(crate) mode: Mode,
    /// Nodes [default: 1; 3 with --failover and --growth]
    #[arg(long)]
    pub(crate) nodes: Option<usize>,
    /// Pairs of components, one sending, one receiving, on neighbouring nodes.
    #[arg(long, default_value_t = 10)]
    pub(crate) pairs: usize,
    /// Bytes of the message body.
    #[arg(long, default_value_t = 64)]
    pub(crate) body: usize,
    /// Stanzas that a pair keeps in flight (closed loop).
    #[arg(long, default_value_t = 256)]
    pub(crate) window: u64,
    /// Stanzas that each pair sends in a second (open loop) instead of a window.
    #[arg(long)]
    pub(crate) rate: Option<u64>,
    /// Handshakes under way at once, with --connects and --growth.
    #[arg(long, default_value_t = 64)]
    pub(crate) parallel: usize,
    /// Over TLS, with --connects.
    #[arg(long)]
    pub(crate) tls: bool,
    /// Kill the leader, with --failover; a node that does not lead otherwise.
    #[arg(long)]
    pub(crate) leader: bool,
    /// How long to measure.
    #[arg(long, default_value_t = 5)]
    pub(crate) seconds: u64,
    /// Leave placing processes on CPUs to the system. Several nodes with --failover, --growth and
    /// --members are never placed.
    #[arg(long)]
    pub(crate) no_pin: bool,
    /// The server's binary.
    #[arg(
        long,
        env = "SWITCHYARD_BIN",
        default_value = "target/release/switchyard"
    )]
    pub(crate) binary: PathBuf,
}

/// What to measure; stanzas between pairs of components if nothing else is said.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(crate) struct Mode {
    /// Connect that many components as fast as possible, and see what they cost then and while they
    /// do nothing.
    #[arg(long, value_name = "COMPONENTS")]
    pub(crate) connects: Option<usize>,
    /// Connect that many components to one node, kill it, and connect all of them to the others
    /// at once.
    #[arg(long, value_name = "COMPONENTS")]
    pub(crate) failover: Option<usize>,
    /// What a table of that many domains costs.
    #[arg(long, value_name = "DOMAINS")]
    pub(crate) growth: Option<usize>,
    /// Form a cluster of that many nodes: three voters, the others learners.
    #[arg(long, value_name = "NODES")]
    pub(crate) members: Option<usize>,
    /// Connect components to this address and hold them until standard input ends: a part of
    /// --growth, which needs more connections than one process may have.
    #[arg(long, hide = true, value_name = "ADDRESS,FIRST,COUNT", value_parser = held)]
    pub(crate) hold: Option<Held>,
}

/// The components that one process holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// Where to connect.
    pub(crate) address: SocketAddr,
    /// Number of the first component.
    pub(crate) first: usize,
    /// How many.
    pub(crate) count: usize,
}

fn held(text: &str) -> Result<Held, String> {
    let read = || {
        let mut parts = text.split(',');
        Some(Held {
            address: parts.next()?.parse().ok()?,
            first: parts.next()?.parse().ok()?,
            count: parts.next()?.parse().ok()?,
        })
    };
    read().ok_or_else(|| "not ADDRESS,FIRST,COUNT".to_owned())
}
