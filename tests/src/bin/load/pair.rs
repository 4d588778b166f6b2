use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use anyhow::Result;
use memchr::memmem::Finder;

use super::client::Client;

/// A component that sends and one that counts.
#[derive(Debug)]
pub(crate) struct Pair {
    sender: TcpStream,
    receiver: TcpStream,
    stanza: Vec<u8>,
    window: u64,
    rate: Option<u64>,
}

/// How far all pairs are.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    delivered: AtomicU64,
    stopped: AtomicBool,
}

impl Progress {
    /// Stanzas that have arrived.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Ends all senders.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl Pair {
    /// A pair that sends bodies of `body` bytes.
    pub(crate) fn new(
        sender: Client,
        receiver: Client,
        body: usize,
        window: u64,
        rate: Option<u64>,
    ) -> Result<Self> {
        let stanza = format!(
            "<message from='alice@{}/phone' to='bob@{}/desk' type='chat' id='0123456789'><body>{}</body></message>",
            sender.domain,
            receiver.domain,
            "x".repeat(body)
        );
        Ok(Self {
            sender: sender.into_socket()?,
            receiver: receiver.into_socket()?,
            stanza: stanza.into_bytes(),
            window,
            rate,
        })
    }

    /// Sends and counts on two threads until `progress` is stopped.
    pub(crate) fn start(self, progress: &Arc<Progress>) {
        let arrived = Arc::new(AtomicU64::new(0));
        let sending = {
            let (progress, arrived) = (Arc::clone(progress), Arc::clone(&arrived));
            let Self {
                sender,
                stanza,
                window,
                rate,
                ..
            } = self;
            thread::spawn(move || match rate {
                Some(rate) => open_loop(sender, &stanza, rate, &progress),
                None => closed_loop(sender, &stanza, window, &arrived, &progress),
            })
        };
        let progress = Arc::clone(progress);
        let sender = sending.thread().clone();
        thread::spawn(move || count(self.receiver, &arrived, &sender, &progress));
    }
}

fn closed_loop(
    mut sender: TcpStream,
    stanza: &[u8],
    window: u64,
    arrived: &AtomicU64,
    progress: &Progress,
) {
    let burst = stanza.repeat(window as usize);
    let mut sent = 0;
    while !progress.is_stopped() {
        let free = window - (sent - arrived.load(Ordering::Acquire));
        if free == 0 {
            thread::park_timeout(Duration::from_millis(100));
            continue;
        }
        let bytes = &burst[..stanza.len() * free as usize];
        if sender.write_all(bytes).is_err() {
            return;
        }
        sent += free;
    }
}

fn open_loop(mut sender: TcpStream, stanza: &[u8], rate: u64, progress: &Progress) {
    let start = Instant::now();
    let mut sent = 0_u64;
    while !progress.is_stopped() {
        let due = start + Duration::from_nanos(sent * 1_000_000_000 / rate);
        if let Some(wait) = due.checked_duration_since(Instant::now()) {
            thread::sleep(wait);
        }
        if sender.write_all(stanza).is_err() {
            return;
        }
        sent += 1;
    }
}

fn count(mut receiver: TcpStream, arrived: &AtomicU64, sender: &Thread, progress: &Progress) {
    const END: &[u8] = b"</message>";
    let finder = Finder::new(END);
    let mut buffer = vec![0; 256 << 10];
    let mut kept = 0;
    loop {
        let Ok(read @ 1..) = receiver.read(&mut buffer[kept..]) else {
            return;
        };
        let filled = kept + read;
        let mut last = 0;
        let mut found = 0;
        for at in finder.find_iter(&buffer[..filled]) {
            found += 1;
            last = at + END.len();
        }
        // An end tag may be cut in two.
        let keep = (filled - last).min(END.len() - 1);
        buffer.copy_within(filled - keep..filled, 0);
        kept = keep;
        arrived.fetch_add(found, Ordering::Release);
        progress.delivered.fetch_add(found, Ordering::Relaxed);
        sender.unpark();
    }
}
