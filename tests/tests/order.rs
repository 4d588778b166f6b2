//! Order, when the stanzas of one sender change from one instance of a domain to another (contract D2).

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use switchyard_tests::{
    Cluster, Component, ComponentReceiver, Cut, Element, Fate, History, PATIENCE, eventually,
};

/// Stanzas without an outcome at a time: more than a link lets wait for one destination, so that some
/// wait with their sender for a link that is lost.
const WINDOW: u64 = 16_000;

/// That many stanzas have to arrive before the next thing happens.
const SOME: usize = 1000;

const DOMAIN: &str = "bot.example";

#[test]
fn contract_d2_what_an_unreachable_instance_never_had_is_not_overtaken() -> Result<()> {
    with_two_instances(|cluster, scene, mut preferred| {
        let (from, to) = scene.way;
        scene.receive(&mut preferred)?;
        // For less than its lease, so that it stays an instance.
        cluster.links().cut(from, to, Cut::Broken);
        scene.await_other()?;
        cluster.links().heal(from, to);
        scene.receive(&mut preferred)?;
        Ok(preferred)
    })
}

#[test]
fn contract_d2_what_an_instance_did_not_take_before_it_went_is_not_overtaken() -> Result<()> {
    with_two_instances(|cluster, scene, mut preferred| {
        for _ in 0..4 {
            scene.receive(&mut preferred)?;
            scene.in_order(&preferred.close_and_receive_rest()?)?;
            scene.await_other()?;
            preferred = cluster[scene.way.1].connect(DOMAIN)?;
        }
        Ok(preferred)
    })
}

/// One user's stanzas to a domain that two nodes have.
struct Scene {
    history: Mutex<History>,
    /// Who sends them: one who prefers the instance at the end of `way`.
    user: String,
    /// The sender's node, and the node of the preferred instance.
    way: (usize, usize),
    /// How many have reached the other instance.
    at_other: Mutex<usize>,
    is_over: AtomicBool,
}

/// Sends to two instances while `act` does something to the preferred one, which it returns when
/// it is done.
fn with_two_instances(
    act: impl FnOnce(&Cluster, &Scene, Component) -> Result<Component>,
) -> Result<()> {
    let mut cluster = Cluster::prepare_linked(3, "")?;
    cluster.start_all()?;
    cluster.run(|cluster| {
        // Neither end of the way that is cut leads: it is about stanzas alone.
        let leader = cluster.leader()?;
        let way = ((leader + 1) % 3, (leader + 2) % 3);
        let mut sender = cluster[way.0].connect("far.example")?;
        let mut preferred = cluster[way.1].connect(DOMAIN)?;
        let other = cluster[leader].connect(DOMAIN)?;
        eventually("both instances in the sender's table", PATIENCE, || {
            let listed = cluster[way.0].query(&["components", "--domain", DOMAIN])?;
            let rows = listed["components"].as_array().map_or(0, Vec::len);
            ensure!(rows == 2, "{listed}");
            Ok(())
        })?;
        let scene = Scene {
            history: Mutex::new(History::unordered()),
            user: user_of(&mut preferred, &mut sender)?,
            way,
            at_other: Mutex::new(0),
            is_over: AtomicBool::new(false),
        };
        let (mut sender, mut errors) = sender.split();
        let (_other_sender, mut other) = other.split();
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let flow = (scene.user.as_str(), DOMAIN);
                sender.keep_sending(flow, &scene.history, WINDOW, &stop)
            });
            let bounced = scope.spawn(|| scene.follow_errors(&mut errors));
            let followed = scope.spawn(|| scene.follow_other(&mut other));
            let acted = act(cluster, &scene, preferred);
            stop.store(true, Ordering::Relaxed);
            let finished = acted.and_then(|mut preferred| scene.finish(&mut preferred));
            scene.is_over.store(true, Ordering::Relaxed);
            let joined = [sending, bounced, followed].map(|thread| thread.join());
            // Whoever saw something out of order knows more than who waited in vain for the rest.
            for outcome in joined {
                outcome.expect("no thread panics")?;
            }
            finished
        })?;
        scene.history.into_inner().judge(Fate::Stayed)
    })
}

/// A user whose conversations `instance` has.
fn user_of(instance: &mut Component, sender: &mut Component) -> Result<String> {
    for user in 0..64 {
        let from = format!("{user}@far.example");
        sender.send(&format!("<message from='{from}' to='{DOMAIN}'/>"))?;
    }
    let first = instance.receive()?.attribute("from").to_owned();
    while instance
        .receive_within(Duration::from_millis(500))?
        .is_some()
    {}
    Ok(first)
}

impl Scene {
    /// Receives some at the preferred instance.
    fn receive(&self, preferred: &mut Component) -> Result<()> {
        let stanzas: Result<Vec<_>> = (0..SOME).map(|_| preferred.receive()).collect();
        self.in_order(&stanzas?)
    }

    /// Notes stanzas that one connection has received one after the other.
    fn in_order(&self, stanzas: &[Element]) -> Result<()> {
        let mut last = None;
        stanzas
            .iter()
            .try_for_each(|stanza| self.note(stanza, &mut last))
    }

    fn note(&self, stanza: &Element, last: &mut Option<u64>) -> Result<()> {
        let number = stanza.attribute("id").parse()?;
        ensure!(*last < Some(number), "{number} arrived after {last:?}");
        *last = Some(number);
        self.history.lock().delivered(number);
        Ok(())
    }

    /// Waits until some have reached the other instance.
    fn await_other(&self) -> Result<()> {
        let before = *self.at_other.lock();
        eventually("stanzas at the other instance", PATIENCE, || {
            let arrived = *self.at_other.lock() - before;
            ensure!(arrived >= SOME, "only {arrived}");
            Ok(())
        })
    }

    fn follow_other(&self, other: &mut ComponentReceiver) -> Result<()> {
        let mut last = None;
        while !self.is_over.load(Ordering::Relaxed) {
            if let Some(stanza) = other.receive_within(Duration::from_millis(50))? {
                // Those that served to choose the user have no number.
                if stanza.attribute("id").is_empty() {
                    continue;
                }
                self.note(&stanza, &mut last)?;
                *self.at_other.lock() += 1;
            }
        }
        Ok(())
    }

    fn follow_errors(&self, errors: &mut ComponentReceiver) -> Result<()> {
        while !self.is_over.load(Ordering::Relaxed) {
            if let Some(stanza) = errors.receive_within(Duration::from_millis(50))? {
                let (condition, _) = stanza.stanza_error().context("not an error")?;
                let number = stanza.attribute("id").parse()?;
                self.history.lock().bounced(number, condition);
            }
        }
        Ok(())
    }

    /// Receives until every stanza has an outcome.
    fn finish(&self, preferred: &mut Component) -> Result<()> {
        let mut last = None;
        eventually("an outcome for every stanza", PATIENCE, || {
            while let Some(stanza) = preferred.receive_within(Duration::from_millis(50))? {
                self.note(&stanza, &mut last)?;
            }
            let outstanding = self.history.lock().outstanding();
            ensure!(outstanding == 0, "{outstanding} have none");
            Ok(())
        })
    }
}
