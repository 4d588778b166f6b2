//! A component that comes and goes, on one node after another, while others send to it
//! (contract D1, R5, S10).

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use parking_lot::Mutex;
use switchyard_tests::{
    Cluster, ComponentReceiver, Element, Fate, History, Node, PATIENCE, eventually,
};

const ROUNDS: usize = 30;
const WINDOW: u64 = 256;
const ROUTE: (&str, &str) = ("a.example", "mover.example");

#[test]
fn contract_d1_every_stanza_has_one_outcome_while_its_receiver_moves_between_nodes() -> Result<()> {
    Cluster::start(3)?.run(|cluster| {
        let history = Mutex::new(History::unordered());
        let (stop, sent_all) = (AtomicBool::new(false), AtomicBool::new(false));
        let (mut sender, mut receiver) = cluster[0].connect("a.example")?.split();
        thread::scope(|scope| {
            let sending = scope.spawn(|| sender.keep_sending(ROUTE, &history, WINDOW, &stop));
            let bouncing = scope.spawn(|| collect_bounces(&mut receiver, &history, &sent_all));
            let outcome = move_around(cluster, &history);
            stop.store(true, Ordering::Relaxed);
            sending.join().expect("no thread panics")?;
            sent_all.store(true, Ordering::Relaxed);
            bouncing.join().expect("no thread panics")?;
            outcome
        })?;
        let history = history.into_inner();
        eprintln!("{history}");
        history.judge(Fate::Stayed)
    })
}

/// Until everything that was sent has an outcome, or nothing more comes.
fn collect_bounces(
    receiver: &mut ComponentReceiver,
    history: &Mutex<History>,
    sent_all: &AtomicBool,
) -> Result<()> {
    while !sent_all.load(Ordering::Relaxed) || history.lock().outstanding() > 0 {
        let patience = if sent_all.load(Ordering::Relaxed) {
            PATIENCE
        } else {
            Duration::from_millis(20)
        };
        match receiver.receive_within(patience)? {
            Some(stanza) => {
                let (condition, _) = stanza.stanza_error().context("no error")?;
                history.lock().bounced(number(&stanza)?, condition);
            }
            None => ensure!(patience < PATIENCE, "no outcome: {}", history.lock()),
        }
    }
    Ok(())
}

/// Connects to one node after another, receives for a while, and leaves as XMPP wants it: what the
/// node had accepted comes before the end of the stream.
fn move_around(cluster: &[Node], history: &Mutex<History>) -> Result<()> {
    for round in 0..ROUNDS {
        let node = &cluster[round % cluster.len()];
        let mut component = eventually("the name to be free", PATIENCE, || {
            node.connect("mover.example")
        })?;
        for _ in 0..300 {
            let stanza = component.receive();
            let stanza = stanza.with_context(|| format!("round {round}: {}", history.lock()))?;
            history.lock().delivered(number(&stanza)?);
        }
        for stanza in component.close_and_receive_rest()? {
            history.lock().delivered(number(&stanza)?);
        }
    }
    Ok(())
}

fn number(stanza: &Element) -> Result<u64> {
    stanza
        .attribute("id")
        .parse()
        .with_context(|| format!("what is {stanza:?}"))
}
