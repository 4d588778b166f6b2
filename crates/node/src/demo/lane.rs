use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::tally::Tally;

/// Messages from one component to the other, at most [`WINDOW`] of them under way.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Domain of the sender.
    pub(crate) from: &'static str,
    /// Domain of the receiver.
    pub(crate) to: &'static str,
    sent: AtomicU64,
    tally: Mutex<Tally>,
    /// Something has arrived, or gone wrong.
    progress: Notify,
}

/// How many messages may be under way.
const WINDOW: u64 = 256;

impl Lane {
    /// Nothing sent yet.
    pub(crate) fn new(from: &'static str, to: &'static str) -> Self {
        Self {
            from,
            to,
            sent: AtomicU64::new(0),
            tally: Mutex::default(),
            progress: Notify::new(),
        }
    }

    /// The next messages to send, as many as the window has room for; waits for room.
    pub(crate) async fn next_messages(&self) -> String {
        loop {
            let progress = self.progress.notified();
            let sent = self.sent();
            let limit = self.received() + WINDOW;
            if sent < limit {
                self.sent.store(limit, Ordering::Relaxed);
                return self.messages(sent + 1, limit);
            }
            progress.await;
        }
    }

    /// Notes the arrival of messages.
    pub(crate) fn arrived(&self, numbers: &[u64]) {
        let mut tally = self.tally.lock();
        numbers.iter().for_each(|&number| tally.arrived(number));
        drop(tally);
        self.progress.notify_waiters();
    }

    /// Notes that something went wrong.
    pub(crate) fn fault(&self, what: String) {
        self.tally.lock().fault(what);
        self.progress.notify_waiters();
    }

    /// Ready when everything sent has arrived or something has gone wrong.
    pub(crate) async fn drained(&self) {
        loop {
            let progress = self.progress.notified();
            if self.received() >= self.sent() || self.first_fault().is_some() {
                return;
            }
            progress.await;
        }
    }

    /// Ready when something has gone wrong.
    pub(crate) async fn failed(&self) -> String {
        loop {
            let progress = self.progress.notified();
            if let Some(fault) = self.first_fault() {
                return format!("{} to {}: {fault}", self.from, self.to);
            }
            progress.await;
        }
    }

    /// How many were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many arrived.
    pub(crate) fn received(&self) -> u64 {
        self.tally.lock().received()
    }

    /// Whether all that was sent arrived once and in order; if not, why.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        let verdict = self.tally.lock().verdict(self.sent());
        verdict.map_err(|fault| format!("{} to {}: {fault}", self.from, self.to))
    }

    fn first_fault(&self) -> Option<String> {
        self.tally.lock().first_fault().map(str::to_owned)
    }

    fn messages(&self, first: u64, last: u64) -> String {
        let Self { from, to, .. } = self;
        let mut messages = String::new();
        for number in first..=last {
            // Writing to a string cannot fail.
            let _ = write!(
                messages,
                "<message from='{from}' to='{to}' id='{number}'>\
                 <body>This is number {number} from one example to the other.</body></message>"
            );
        }
        messages
    }
}
