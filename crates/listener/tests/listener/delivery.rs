//! Every stanza has one outcome, and nobody else is delayed: contract D1, D2, D4.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use switchyard_listener::ListenerConfig;
use tokio::io::AsyncWriteExt;

use crate::client::{Event, message, number};
use crate::fixture::{Fixture, bounded, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_d1_d2_ten_thousand_each_way_once_and_in_order() {
    const COUNT: usize = 10_000;
    let fixture = Fixture::start().await;
    let mut tasks = Vec::new();
    for (own, other) in [("a.example", "b.example"), ("b.example", "a.example")] {
        tasks.push((own, other, fixture.connect(own).await));
    }
    let tasks = tasks.into_iter().map(|(own, other, mut client)| {
        tokio::spawn(async move {
            // Reading and writing at once, or two floods can block each other for good.
            let mut text = String::new();
            for number in 0..COUNT {
                text += &message(own, other, number);
            }
            let (reading, mut writing) = client.split();
            let writing = tokio::spawn(async move {
                writing.write_all(text.as_bytes()).await.unwrap();
                writing
            });
            client = reading;
            for number in 0..COUNT {
                assert_eq!(client.element().await, message(other, own, number));
            }
            writing.await.unwrap();
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        bounded("the exchange", task).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_d4_a_slow_receiver_slows_its_sender_within_bounded_memory() {
    // More than the system keeps in its buffers.
    const COUNT: usize = 50_000;
    let body = "x".repeat(1000);
    let long = move |n| message("a.example", "slow.example", n).replace("Hello", &body);
    let fixture = Fixture::start().await;
    let mut slow = fixture.connect("slow.example").await;
    let outbox = fixture.switch.outbox("slow.example").unwrap();
    let mut sender = fixture.connect("a.example").await;
    let stanza = long.clone();
    let sending = tokio::spawn(async move {
        for number in 0..COUNT {
            sender.send(stanza(number)).await;
        }
        sender
    });
    until("the outbox is full", || outbox.is_congested()).await;
    // Nobody else's stanzas are delayed meanwhile.
    let mut other = fixture.connect("b.example").await;
    for number in 0..1000 {
        other.send(message("b.example", "b.example", number)).await;
        assert_eq!(
            other.element().await,
            message("b.example", "b.example", number)
        );
        // The soft limit may be passed by one delivery, which is no larger than one read.
        assert!(
            outbox.queued_bytes() <= (1024 + 64) * 1024,
            "{}",
            outbox.queued_bytes()
        );
    }
    assert!(!sending.is_finished(), "the sender waits");
    for number in 0..COUNT {
        assert_eq!(slow.element().await, long(number));
    }
    bounded("the sender ends", sending).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_d4_who_takes_nothing_is_disconnected_and_its_queue_answered() {
    let impatient = |config: &mut ListenerConfig| {
        config.write_timeout = Duration::from_millis(300);
        config.outbox.soft = 64 * 1024;
    };
    let fixture = Fixture::start().await;
    let hasty = fixture.beside(impatient);
    let deaf = hasty.connect("deaf.example").await;
    let outbox = fixture.switch.outbox("deaf.example").unwrap();
    let sender = fixture.connect("a.example").await;
    let (mut sender, mut writing) = sender.split();
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while outbox.close_reason().is_none() {
            let text = message("a.example", "deaf.example", sent);
            writing.write_all(text.as_bytes()).await.unwrap();
            sent += 1;
        }
        // Comes back, for it was sent when the component was gone.
        let marker = message("a.example", "a.example", sent);
        writing.write_all(marker.as_bytes()).await.unwrap();
        (sent, outbox, writing)
    });
    let mut answered = BTreeSet::new();
    loop {
        let element = sender.element().await;
        if !element.contains("type='error'") {
            break;
        }
        assert!(
            answered.insert(number(&element)),
            "answered twice: {element}"
        );
    }
    let (sent, outbox, _writing) = bounded("the sender ends", sending).await.unwrap();
    let written = outbox.counters().stanzas() as usize;
    until("the deaf one is gone", || hasty.metrics.components() == 0).await;
    while written + answered.len() < sent {
        assert!(answered.insert(number(&sender.element().await)));
    }
    assert_eq!(written + answered.len(), sent);
    assert_eq!(
        answered,
        (written..sent).collect(),
        "the first were written, the rest answered"
    );
    drop(deaf);
}

/// A receiver that goes away at any moment, in any way: each stanza it was sent is written to it
/// or answered, never both, never neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_d1_each_stanza_is_written_or_answered_when_the_receiver_breaks_away() {
    const COUNT: usize = 20_000;
    for seed in 0..12 {
        let hasty = |config: &mut ListenerConfig| config.flush_timeout = Duration::from_millis(500);
        let fixture = Fixture::configured(hasty).await;
        let mut receiver = fixture.connect("b.example").await;
        let outbox = fixture.switch.outbox("b.example").unwrap();
        let sender = fixture.connect("a.example").await;
        let (mut sender, mut writing) = sender.split();
        let sending = tokio::spawn(async move {
            let text: String = (0..COUNT)
                .map(|n| message("a.example", "b.example", n))
                .collect();
            writing.write_all(text.as_bytes()).await.unwrap();
            writing
        });
        for number in 0..seed * seed * 40 {
            assert_eq!(
                receiver.element().await,
                message("a.example", "b.example", number)
            );
        }
        match seed % 4 {
            // With input unread the system sends a reset.
            0 => drop(receiver),
            1 => receiver.reset(),
            2 => receiver.send("</stream:stream>").await,
            _ => receiver.send("<broken></mismatch>").await,
        }
        let mut answered = BTreeSet::new();
        loop {
            let accounted = answered.len();
            tokio::select! {
                element = sender.element() => {
                    assert!(element.contains("type='error'"), "{element}");
                    assert!(answered.insert(number(&element)), "seed {seed}: answered twice");
                }
                () = until("the rest is written", || {
                    accounted + outbox.counters().stanzas() as usize >= COUNT
                }) => break,
            }
        }
        // Those that were written are the first.
        let written = outbox.counters().stanzas() as usize;
        assert_eq!(answered, (written..COUNT).collect(), "seed {seed}");
        assert_eq!(fixture.switch.unanswered.load(Ordering::Relaxed), 0);
        bounded("the sender ends", sending).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_d1_a_sender_that_breaks_away_has_sent_whole_stanzas_alone() {
    let fixture = Fixture::start().await;
    let mut receiver = fixture.connect("b.example").await;
    for cut in [1, 30, 60, 90] {
        let mut sender = fixture.connect("a.example").await;
        let text: String = (0..1000)
            .map(|n| message("a.example", "b.example", n))
            .collect();
        sender.send(&text[..text.len() - cut]).await;
        drop(sender);
        let last = message("a.example", "b.example", 999);
        let whole = 1000 - cut.div_ceil(last.len());
        for number in 0..whole {
            assert_eq!(
                receiver.element().await,
                message("a.example", "b.example", number)
            );
        }
        until("the sender is gone", || fixture.metrics.components() == 1).await;
    }
    receiver.send("</stream:stream>").await;
    assert_eq!(receiver.next().await, Event::End, "nothing else had come");
}

#[tokio::test]
async fn contract_d4_who_does_not_read_its_errors_is_not_read() {
    let small = |config: &mut ListenerConfig| {
        config.outbox.soft = 16 * 1024;
        config.outbox.hard = 64 * 1024;
    };
    let fixture = Fixture::configured(small).await;
    let client = fixture.connect("a.example").await;
    let outbox = fixture.switch.outbox("a.example").unwrap();
    let (mut client, mut writing) = client.split();
    // Each of these is answered by an error that is larger than itself.
    let bad = "<message from='a.example'/>".repeat(1000);
    let sending = tokio::spawn(async move {
        for _ in 0..80 {
            writing.write_all(bad.as_bytes()).await.unwrap();
        }
        writing
    });
    until("the replies pile up", || outbox.is_overfull()).await;
    for _ in 0..80_000 {
        assert!(client.element().await.contains("<bad-request "));
        // The limit, and the replies to one batch of stanzas.
        assert!(
            outbox.queued_bytes() < 1024 * 1024,
            "{}",
            outbox.queued_bytes()
        );
    }
    bounded("the sender ends", sending).await.unwrap();
}
