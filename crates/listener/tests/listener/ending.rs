//! How streams end and stay alive: contract S3, S9 to S12.

use std::time::Duration;

use switchyard_listener::ListenerConfig;

use crate::client::{SECRET, handshake, header, message};
use crate::fixture::{Fixture, bounded, until};

#[tokio::test]
async fn contract_s9_a_second_header_is_a_policy_violation() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect("a.example").await;
    client.send(header("a.example")).await;
    client.end(Some("policy-violation")).await;
    until("the name is free", || {
        fixture.switch.outbox("a.example").is_none()
    })
    .await;
}

#[tokio::test]
async fn contract_s10_pending_stanzas_come_before_the_end() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect("a.example").await;
    let mut text = String::new();
    for number in 0..2000 {
        text += &message("a.example", "a.example", number);
    }
    client.send(text + "</stream:stream>").await;
    for number in 0..2000 {
        assert_eq!(
            client.element().await,
            message("a.example", "a.example", number)
        );
    }
    client.end(None).await;
    // Before the handshake as well.
    let (mut client, _) = fixture.open("b.example").await;
    client.send("</stream:stream>").await;
    client.end(None).await;
}

#[tokio::test]
async fn rfc6120_4_9_a_stream_error_of_the_component_ends_its_stream_unanswered() {
    const ERROR: &str = "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
         </stream:error>";
    let fixture = Fixture::start().await;
    let mut client = fixture.connect("a.example").await;
    let first = message("a.example", "a.example", 1);
    let late = message("a.example", "a.example", 2);
    client.send(format!("{first}{ERROR}{late}")).await;
    assert_eq!(client.element().await, first);
    client.end(None).await;
    assert_eq!(fixture.metrics.stanza_errors(), 0);
    // Before the handshake as well.
    let (mut client, _) = fixture.open("b.example").await;
    client.send(ERROR).await;
    client.end(None).await;
    assert_eq!(fixture.metrics.auth_failures(), 0);
}

#[tokio::test]
async fn contract_x4_no_element_of_the_streams_namespace_is_sent_back() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect("a.example").await;
    let first = message("a.example", "a.example", 1);
    client.send(format!("{first}<stream:features/>")).await;
    assert_eq!(client.element().await, first);
    client.end(Some("bad-format")).await;
}

#[tokio::test]
async fn a_component_that_stops_sending_still_gets_what_is_pending() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect("a.example").await;
    client.send(message("a.example", "a.example", 1)).await;
    client.stop_sending().await;
    assert_eq!(client.element().await, message("a.example", "a.example", 1));
    client.end(None).await;
    until("the name is free", || {
        fixture.switch.outbox("a.example").is_none()
    })
    .await;
}

#[tokio::test]
async fn contract_s3_input_that_still_flows_does_not_eat_the_error() {
    let fixture = Fixture::start().await;
    for _ in 0..20 {
        let mut client = fixture.connect("a.example").await;
        client.send("<!-- -->").await;
        for _ in 0..20 {
            client.send(" ".repeat(10_000)).await;
        }
        assert!(client.element().await.contains("<restricted-xml "));
        // The server has ended the stream, and reads on: a reset would fail these.
        for _ in 0..20 {
            client.send(" ".repeat(10_000)).await;
            tokio::task::yield_now().await;
        }
        client.end(None).await;
        drop(client);
        until("the name is free", || {
            fixture.switch.outbox("a.example").is_none()
        })
        .await;
    }
}

#[tokio::test]
async fn contract_s11_silence_is_broken_by_white_space() {
    let keepalive = Duration::from_millis(50);
    let fixture = Fixture::configured(|config| config.keepalive = keepalive).await;
    let mut client = fixture.connect("a.example").await;
    while client.unread().len() < 3 {
        assert_ne!(client.read().await, 0);
    }
    assert!(client.unread().iter().all(|byte| *byte == b' '));
    // And white space from the component is no stanza.
    client.send("  \n ").await;
    client.send(message("a.example", "a.example", 1)).await;
    assert_eq!(client.element().await, message("a.example", "a.example", 1));
}

#[tokio::test]
async fn contract_s12_a_shutdown_flushes_and_says_so() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect("a.example").await;
    let mut waiting = fixture.open("b.example").await.0;
    client.send(message("a.example", "a.example", 1)).await;
    let outbox = fixture.switch.outbox("a.example").unwrap();
    until("the stanza is written", || outbox.counters().stanzas() == 1).await;
    fixture.shutdown.cancel();
    assert_eq!(client.element().await, message("a.example", "a.example", 1));
    client.end(Some("system-shutdown")).await;
    waiting.end(Some("system-shutdown")).await;
    drop((client, waiting));
    bounded("the listener ends", fixture.serving).await.unwrap();
    assert!(fixture.switch.outbox("a.example").is_none());
    assert!(
        tokio::net::TcpStream::connect(fixture.address)
            .await
            .is_err()
    );
    assert_eq!(fixture.metrics.connections(), 0);
}

#[tokio::test]
async fn contract_s12_a_component_that_does_not_read_cannot_hold_up_the_shutdown() {
    let quick = |config: &mut ListenerConfig| config.flush_timeout = Duration::from_millis(100);
    let fixture = Fixture::configured(quick).await;
    let _deaf = fixture.connect("deaf.example").await;
    let mut sender = fixture.connect("a.example").await;
    let outbox = fixture.switch.outbox("deaf.example").unwrap();
    let mut sent = 0;
    while !outbox.is_congested() {
        for _ in 0..100 {
            sender
                .send(message("a.example", "deaf.example", sent))
                .await;
            sent += 1;
        }
        tokio::task::yield_now().await;
    }
    fixture.shutdown.cancel();
    bounded("the listener ends", fixture.serving).await.unwrap();
    // Everybody else was told what happened to the rest.
    let answered = fixture.metrics.undelivered() > 0;
    assert!(answered, "what the deaf one did not take was given back");
}

#[tokio::test]
async fn contract_s6_a_slow_registration_is_ended_by_a_shutdown() {
    let mut switch = crate::switch::Switch::new();
    switch.registrations = tokio::sync::Semaphore::new(0);
    let fixture = Fixture::with(|_| {}, switch).await;
    let (mut client, id) = fixture.open("a.example").await;
    client.send(handshake(&id, SECRET)).await;
    client.send(message("a.example", "a.example", 1)).await;
    fixture.shutdown.cancel();
    client.end(Some("system-shutdown")).await;
    until("the connection is gone", || {
        fixture.metrics.connections() == 0
    })
    .await;
    assert!(fixture.switch.outbox("a.example").is_none());
}
