//! One component that sends to many.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::runtime::Runtime;

use crate::client::{Client, Stream};
use crate::usage;

/// A sender and its receivers, whose sockets are read all the time.
#[derive(Debug)]
pub(crate) struct Spread {
    sender: Client,
    /// One stanza to each receiver, in order: neighbours never have the same destination.
    round: Vec<u8>,
    receivers: usize,
    /// Octets that have come to all receivers.
    arrived: Arc<AtomicU64>,
}

/// Rounds that are under way at once.
const BURST: usize = 20;
/// Longest wait for stanzas to arrive.
const LIMIT: Duration = Duration::from_secs(30);

impl Spread {
    pub(crate) fn new(sender: Client, receivers: Vec<Client>) -> Result<Self> {
        let mut round = String::new();
        for receiver in &receivers {
            round += &format!(
                "<message from='alice@{}/phone' to='bob@{}/desk' id='1'><body>{}</body></message>",
                sender.domain,
                receiver.domain,
                "x".repeat(64)
            );
        }
        let arrived = Arc::new(AtomicU64::new(0));
        let count = receivers.len();
        for receiver in receivers {
            let mut socket = receiver.into_socket()?;
            let arrived = Arc::clone(&arrived);
            thread::spawn(move || {
                let mut buffer = vec![0; 16 << 10];
                while let Ok(read @ 1..) = socket.read(&mut buffer) {
                    arrived.fetch_add(read as u64, Ordering::Relaxed);
                }
            });
        }
        Ok(Self {
            sender,
            round: round.into_bytes(),
            receivers: count,
            arrived,
        })
    }

    /// CPU time of `servers` for one of `rounds` times as many stanzas as there are receivers.
    pub(crate) fn cost(
        &mut self,
        servers: &[u32],
        rounds: usize,
        runtime: &Runtime,
    ) -> Result<Duration> {
        let Stream::Plain(stream) = &mut self.sender.stream else {
            anyhow::bail!("the sender is connected through TLS");
        };
        let burst = self.round.repeat(BURST);
        let before = usage::cpu_time(servers)?;
        let rounds = rounds.div_ceil(BURST) * BURST;
        for _ in 0..rounds / BURST {
            // What is forwarded is as long as what was sent, or longer.
            let expected = self.arrived.load(Ordering::Relaxed) + burst.len() as u64;
            runtime.block_on(stream.write_all(&burst))?;
            let deadline = Instant::now() + LIMIT;
            while self.arrived.load(Ordering::Relaxed) < expected {
                ensure!(Instant::now() < deadline, "stanzas did not arrive");
                thread::sleep(Duration::from_micros(200));
            }
        }
        let used = usage::cpu_time(servers)?.saturating_sub(before);
        Ok(used / u32::try_from(rounds * self.receivers)?)
    }
}
