use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;

use crate::{
    Component, ComponentReceiver, ComponentSender, Element, Fate, History, PATIENCE, eventually,
};

/// Stanzas of one flow that may be without an outcome before the sender waits.
const WINDOW: u64 = 256;

/// Components that all send numbered messages to each other, each a bounded number ahead, while
/// the test does something to their nodes. Every message is accounted for.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// By sender and receiver.
    flows: BTreeMap<(String, String), Mutex<History>>,
    /// Why a component's stream ended, by its domain.
    ended: Mutex<BTreeMap<String, String>>,
    stopping: AtomicBool,
    finished: AtomicBool,
}

impl Traffic {
    /// Starts to send from each component to each other.
    #[must_use]
    pub fn between(components: Vec<(String, Component)>) -> Self {
        let domains: Vec<String> = components
            .iter()
            .map(|(domain, _)| domain.clone())
            .collect();
        let pairs = domains
            .iter()
            .flat_map(|a| domains.iter().map(move |b| (a.clone(), b.clone())));
        let shared = Arc::new(Shared {
            flows: pairs
                .filter(|(a, b)| a != b)
                .map(|pair| (pair, Mutex::default()))
                .collect(),
            ended: Mutex::default(),
            stopping: AtomicBool::new(false),
            finished: AtomicBool::new(false),
        });
        let threads = components.into_iter().flat_map(|(domain, component)| {
            let (mut sender, mut receiver) = component.split();
            let (for_sender, for_receiver) = (shared.clone(), shared.clone());
            let own = domain.clone();
            [
                thread::spawn(move || for_sender.keep_sending(&own, &mut sender)),
                thread::spawn(move || for_receiver.keep_receiving(&domain, &mut receiver)),
            ]
        });
        let threads = threads.collect();
        Self { shared, threads }
    }

    /// Waits until `count` further messages from `from` have reached `to`.
    ///
    /// # Errors
    ///
    /// When they do not.
    pub fn wait_for_deliveries(&self, from: &str, to: &str, count: u64) -> Result<()> {
        let flow = self.flow(from, to)?;
        let goal = flow.lock().delivered_count() + count;
        eventually(
            &format!("{count} messages from {from} to {to}"),
            PATIENCE,
            || {
                let so_far = flow.lock().delivered_count();
                ensure!(
                    so_far >= goal,
                    "{so_far} of {goal} so far; {:?}",
                    self.shared.ended.lock()
                );
                Ok(())
            },
        )
    }

    /// Waits until a message from `from` to `to` was answered with an error of that condition.
    ///
    /// # Errors
    ///
    /// When none is, for `patience`.
    pub fn wait_for_bounce(
        &self,
        from: &str,
        to: &str,
        condition: &str,
        patience: Duration,
    ) -> Result<()> {
        let flow = self.flow(from, to)?;
        eventually(
            &format!("{condition} from {to} to {from}"),
            patience,
            || {
                let flow = flow.lock();
                ensure!(
                    flow.bounces().contains_key(condition),
                    "only {:?}",
                    flow.bounces()
                );
                Ok(())
            },
        )
    }

    fn flow(&self, from: &str, to: &str) -> Result<&Mutex<History>> {
        let flow = self.shared.flows.get(&(from.to_owned(), to.to_owned()));
        flow.with_context(|| format!("no traffic from {from} to {to}"))
    }

    /// Sends no more, waits for the outcomes, and judges every flow whose sender stayed. `killed`
    /// are the components on nodes that the test killed; the streams of all others must have
    /// lasted. Returns what was sent, by sender and receiver.
    ///
    /// # Errors
    ///
    /// When a stanza is not accounted for.
    pub fn finish(self, killed: &[&str]) -> Result<BTreeMap<(String, String), u64>> {
        self.finish_with(killed, &[], &[])
    }

    /// The same where the nodes of the components `hung` were given up meanwhile, and came back, and
    /// the streams of the components `closed` were ended in good order: what they have received was
    /// not answered, and what they have sent since then was not read.
    ///
    /// # Errors
    ///
    /// When a stanza is not accounted for.
    pub fn finish_with(
        self,
        killed: &[&str],
        hung: &[&str],
        closed: &[&str],
    ) -> Result<BTreeMap<(String, String), u64>> {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let judged = self
            .shared
            .flows
            .iter()
            .filter(|((from, _), _)| !killed.contains(&from.as_str()))
            .filter(|((from, _), _)| !closed.contains(&from.as_str()));
        let settled = eventually("an outcome for every message", PATIENCE, || {
            let open = judged
                .clone()
                .find(|(_, history)| history.lock().outstanding() > 0);
            ensure!(open.is_none(), "{:?} has none", open.map(|(flow, _)| flow));
            Ok(())
        });
        self.shared.finished.store(true, Ordering::Relaxed);
        for thread in self.threads {
            ensure!(thread.join().is_ok(), "a thread of the traffic panicked");
        }
        let ended = self.shared.ended.lock();
        let unexpected = ended
            .iter()
            .filter(|(domain, _)| !killed.contains(&domain.as_str()))
            .find(|(domain, _)| !closed.contains(&domain.as_str()));
        ensure!(
            unexpected.is_none(),
            "a stream ended that should not: {unexpected:?}"
        );
        for ((from, to), history) in judged.clone() {
            eprintln!("{from} to {to}: {}", history.lock());
            let fate = if killed.contains(&to.as_str()) {
                Fate::Killed
            } else if hung.contains(&to.as_str()) {
                Fate::Hung
            } else {
                Fate::Stayed
            };
            history
                .lock()
                .judge(fate)
                .with_context(|| format!("from {from} to {to}"))?;
        }
        settled?;
        Ok(judged
            .map(|(flow, history)| (flow.clone(), history.lock().sent()))
            .collect())
    }
}

impl Shared {
    fn keep_sending(&self, own: &str, sender: &mut ComponentSender) {
        let flows: Vec<_> = self
            .flows
            .iter()
            .filter(|((from, _), _)| from == own)
            .collect();
        while !self.stopping.load(Ordering::Relaxed) && !self.ended.lock().contains_key(own) {
            let mut burst = String::new();
            for ((_, to), history) in &flows {
                let mut history = history.lock();
                while history.outstanding() < WINDOW {
                    let number = history.send();
                    burst += &format!(
                        "<message from='x@{own}' to='x@{to}' id='{number}'><body>{number}</body></message>"
                    );
                }
            }
            if burst.is_empty() {
                thread::sleep(Duration::from_millis(1));
            } else if sender.send(&burst).is_err() {
                return;
            }
        }
    }

    fn keep_receiving(&self, own: &str, receiver: &mut ComponentReceiver) {
        while !self.finished.load(Ordering::Relaxed) {
            let outcome = receiver.receive_within(Duration::from_millis(50));
            let outcome =
                outcome.and_then(|stanza| stanza.map_or(Ok(()), |s| self.account(own, &s)));
            if let Err(error) = outcome {
                self.ended
                    .lock()
                    .insert(own.to_owned(), format!("{error:#}"));
                return;
            }
        }
    }

    fn account(&self, own: &str, stanza: &Element) -> Result<()> {
        let peer = stanza.attribute("from").trim_start_matches("x@").to_owned();
        let number = stanza
            .attribute("id")
            .parse()
            .with_context(|| format!("what is {stanza:?}"))?;
        let bounced = stanza.stanza_error();
        let flow = match bounced {
            Some(_) => (own.to_owned(), peer),
            None => (peer, own.to_owned()),
        };
        let history = self
            .flows
            .get(&flow)
            .with_context(|| format!("what is {stanza:?}"))?;
        match bounced {
            Some((condition, _)) => history.lock().bounced(number, condition),
            None => history.lock().delivered(number),
        }
        Ok(())
    }
}
