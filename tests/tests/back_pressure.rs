//! A component that does not read slows down those who send to it, and nobody else (contract D4).

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use switchyard_tests::{Cluster, Component, ComponentReceiver, ComponentSender, PATIENCE};

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
        let sending = scope.spawn(|| send_all(&mut flood, &flood_domain, &slow_domain));
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

fn send_all(flood: &mut ComponentSender, from: &str, to: &str) -> Result<()> {
    let body = "z".repeat(BODY);
    (0..MESSAGES).try_for_each(|i| {
        flood.send(&format!(
            "<message from='{from}' to='{to}' id='{i}'><body>{body}</body></message>"
        ))
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
