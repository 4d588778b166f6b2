//! A component that does not read slows down those who send to it, and nobody else (contract D4).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use switchyard_tests::{
    Cluster, Component, ComponentReceiver, ComponentSender, PATIENCE, eventually, http,
};

/// More than every buffer on the way can hold: sockets, the outbox, the link's window.
const MESSAGES: usize = 20_000;
const BODY: usize = 4_000;

#[test]
fn contract_d4_a_slow_receiver_slows_its_senders_and_nobody_else() -> Result<()> {
    Cluster::start(2)?.run(|cluster| {
        let mut a = cluster[0].connect("a.example")?;
        for far in [0, 1] {
            let slow = cluster[far].connect(&format!("slow{far}.example"))?;
            let flood = cluster[0].connect(&format!("flood{far}.example"))?;
            let mut b = cluster[far].connect(&format!("b{far}.example"))?;
            flood_and_others(slow, flood, &mut a, &mut b)
                .with_context(|| format!("from node 0 to node {far}"))?;
        }
        Ok(())
    })
}

#[test]
fn contract_d1_what_a_vanished_receiver_did_not_take_is_answered_across_nodes() -> Result<()> {
    Cluster::start(2)?.run(|cluster| {
        let flood = cluster[0].connect("flood.example")?;
        let stuck = cluster[1].connect("stuck.example")?;
        let (mut flood, mut answers) = flood.split();
        let (stuck, _unread) = stuck.split();
        let sent = AtomicUsize::new(0);
        thread::scope(|scope| {
            let sending = scope.spawn(|| {
                send_all(&mut flood, "flood.example", "stuck.example", |count| {
                    sent.store(count, Ordering::Relaxed);
                })
            });
            wait_until_stuck(&sent)?;
            stuck.abort();
            let mut answered = 0;
            // What was written into the socket is the receiver's; all else comes back.
            eventually("every message has its outcome", PATIENCE, || {
                while let Some(answer) = answers.receive_within(Duration::from_millis(200))? {
                    ensure!(answer.attribute("type") == "error", "not an error");
                    answered += 1;
                }
                let written = written(cluster[1].config().http)?;
                let outcomes = answered + written;
                ensure!(
                    outcomes == MESSAGES,
                    "{answered} answered, {written} written"
                );
                Ok(())
            })?;
            sending.join().expect("no thread panics")?;
            ensure!(answered > 0, "the receiver was never stuck");
            ensure!(
                answers
                    .receive_within(Duration::from_millis(200))?
                    .is_none()
            );
            Ok(())
        })
    })
}

/// Waits until the sender has not got on for a while.
fn wait_until_stuck(sent: &AtomicUsize) -> Result<()> {
    let mut before = None;
    eventually("the sender is held up", PATIENCE, || {
        thread::sleep(Duration::from_millis(500));
        let now = sent.load(Ordering::Relaxed);
        ensure!(now < MESSAGES, "everything is buffered");
        let stuck = now > 0 && before == Some(now);
        before = Some(now);
        ensure!(stuck, "it is at message {now}");
        Ok(())
    })
}

/// Stanzas that a node has written to components, by its own account.
fn written(http: SocketAddr) -> Result<usize> {
    let (_, page) = http::get(http, "/metrics")?;
    let lines = page
        .lines()
        .filter(|line| line.starts_with("switchyard_stanzas_out_total"));
    lines
        .map(|line| {
            Ok(line
                .rsplit(' ')
                .next()
                .unwrap_or_default()
                .parse::<usize>()?)
        })
        .sum()
}

fn flood_and_others(
    slow: Component,
    flood: Component,
    a: &mut Component,
    b: &mut Component,
) -> Result<()> {
    let (flood_domain, slow_domain) = (flood.domain().to_owned(), slow.domain().to_owned());
    let (mut flood, mut answers) = flood.split();
    let (slow_sender, mut slow) = slow.split();
    thread::scope(|scope| {
        let sending = scope.spawn(|| send_all(&mut flood, &flood_domain, &slow_domain, |_| {}));
        // While the flood has nowhere to go, its neighbours on the same nodes and the same link
        // are served as ever.
        for i in 0..500 {
            a.send_message(b.domain(), &format!("{i}"))?;
            b.receive_message(&format!("{i}"))?;
            b.send_message("a.example", &format!("{i}"))?;
            a.receive_message(&format!("{i}"))?;
        }
        ensure!(
            !sending.is_finished(),
            "the sender was not slowed down: everything is buffered"
        );
        // Once it is read, everything arrives, in order, or was answered.
        let received = receive_all(&mut slow, &mut answers)?;
        sending.join().expect("no thread panics")?;
        ensure!(received == MESSAGES, "{received} of {MESSAGES}");
        drop(slow_sender);
        Ok(())
    })
}

fn send_all(
    flood: &mut ComponentSender,
    from: &str,
    to: &str,
    progress: impl Fn(usize),
) -> Result<()> {
    let body = "z".repeat(BODY);
    (0..MESSAGES).try_for_each(|i| {
        flood.send(&format!(
            "<message from='{from}' to='{to}' id='{i}'><body>{body}</body></message>"
        ))?;
        progress(i + 1);
        Ok(())
    })
}

/// How many of the messages were delivered or answered until all of them were.
fn receive_all(slow: &mut ComponentReceiver, answers: &mut ComponentReceiver) -> Result<usize> {
    let mut outcomes = vec![0; MESSAGES];
    let mut last = None;
    let mut total = 0;
    while total < MESSAGES {
        let delivered = slow.receive_within(Duration::from_millis(200))?;
        let (answered, stanza) = match delivered {
            Some(stanza) => (false, stanza),
            None => match answers.receive_within(PATIENCE)? {
                Some(stanza) => (true, stanza),
                None => break,
            },
        };
        let id: usize = stanza
            .attribute("id")
            .parse()
            .context("an unknown stanza")?;
        ensure!(answered || Some(id) > last, "{id} after {last:?}");
        last = if answered { last } else { Some(id) };
        outcomes[id] += 1;
        ensure!(outcomes[id] == 1, "two outcomes of {id}");
        total += 1;
    }
    Ok(total)
}
