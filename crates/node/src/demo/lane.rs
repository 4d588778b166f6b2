use std::fmt::Write as _;

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
    state: Mutex<State>,
    /// The state has changed.
    progress: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Messages that were sent, or are about to be.
    sent: u64,
    /// No more are to be.
    stopped: bool,
    tally: Tally,
}

/// How many messages may be under way.
const WINDOW: u64 = 256;

impl Lane {
    /// Nothing sent yet.
    pub(crate) fn new(from: &'static str, to: &'static str) -> Self {
        Self {
            from,
            to,
            state: Mutex::default(),
            progress: Notify::new(),
        }
    }

    /// The next messages to send, as many as the window has room for; waits for room. `None` once
    /// the lane is stopped.
    pub(crate) async fn next_messages(&self) -> Option<String> {
        self.wait_for(|state| {
            let first = state.sent + 1;
            let last = state.tally.received() + WINDOW;
            if state.stopped {
                return Some(None);
            }
            if first > last {
                return None;
            }
            state.sent = last;
            Some(Some(self.messages(first, last)))
        })
        .await
    }

    /// Sends no more: what is counted as sent from here on is final.
    pub(crate) fn stop(&self) {
        self.change(|state| state.stopped = true);
    }

    /// Notes the arrival of messages.
    pub(crate) fn arrived(&self, numbers: &[u64]) {
        self.change(|state| {
            numbers
                .iter()
                .for_each(|&number| state.tally.arrived(number))
        });
    }

    /// Notes that something went wrong.
    pub(crate) fn fault(&self, what: String) {
        self.change(|state| state.tally.fault(what));
    }

    /// Ready when everything sent has arrived or something has gone wrong.
    pub(crate) async fn drained(&self) {
        self.wait_for(|state| {
            let arrived = state.tally.received() >= state.sent;
            (arrived || state.tally.first_fault().is_some()).then_some(())
        })
        .await;
    }

    /// Ready when something has gone wrong.
    pub(crate) async fn failed(&self) -> String {
        let fault = self.wait_for(|state| state.tally.first_fault().map(str::to_owned));
        format!("{} to {}: {}", self.from, self.to, fault.await)
    }

    /// How many were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.state.lock().sent
    }

    /// How many arrived.
    pub(crate) fn received(&self) -> u64 {
        self.state.lock().tally.received()
    }

    /// Whether all that was sent arrived once and in order; if not, why.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        let state = self.state.lock();
        let verdict = state.tally.verdict(state.sent);
        verdict.map_err(|fault| format!("{} to {}: {fault}", self.from, self.to))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.progress.notify_waiters();
    }

    /// Waits until `look` sees in the state what it looks for.
    async fn wait_for<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            // Made before the look: a change right after it is not missed.
            let progress = self.progress.notified();
            if let Some(seen) = look(&mut self.state.lock()) {
                return seen;
            }
            progress.await;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What `future` gives without waiting.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        futures::FutureExt::now_or_never(future)
    }

    #[test]
    fn at_most_a_window_is_under_way_and_nothing_follows_a_stop() {
        let lane = Lane::new("a", "b");
        let count =
            |messages: Option<String>| messages.unwrap().matches("<message ").count() as u64;
        assert_eq!(now(lane.next_messages()).map(count), Some(WINDOW));
        assert_eq!(now(lane.next_messages()), None);
        assert_eq!(now(lane.drained()), None);
        lane.arrived(&[1, 2, 3]);
        assert_eq!(now(lane.next_messages()).map(count), Some(3));
        lane.arrived(&(4..=WINDOW + 3).collect::<Vec<u64>>());
        lane.stop();
        assert_eq!(now(lane.next_messages()), Some(None));
        assert_eq!(now(lane.drained()), Some(()));
        assert_eq!((lane.sent(), lane.verdict()), (WINDOW + 3, Ok(())));
    }

    #[test]
    fn a_fault_ends_the_wait() {
        let lane = Lane::new("a", "b");
        assert!(now(lane.next_messages()).is_some());
        assert_eq!(now(lane.failed()), None);
        lane.fault("broken".to_owned());
        assert_eq!(now(lane.failed()), Some("a to b: broken".to_owned()));
        assert_eq!(now(lane.drained()), Some(()));
    }
}
