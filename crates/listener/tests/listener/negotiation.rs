//! From the first byte to `<handshake/>`: contract S1 to S8.

use std::sync::atomic::Ordering;
use std::time::Duration;

use switchyard_listener::{ConflictBehaviour, StreamCondition};
use tokio::sync::Semaphore;

use crate::client::{Client, Event, SECRET, handshake, header, message};
use crate::fixture::{Fixture, bounded, until};
use crate::switch::Switch;

#[tokio::test]
async fn contract_s1_s7_a_header_byte_by_byte_is_answered_when_it_is_complete() {
    let fixture = Fixture::start().await;
    let mut client = Client::dial(fixture.address).await;
    for byte in header("Gateway.Example").bytes() {
        client.send([byte]).await;
    }
    let header = client.header().await;
    assert_eq!(
        header.content_namespace.as_deref(),
        Some("jabber:component:accept")
    );
    assert_eq!(header.from.as_deref(), Some("gateway.example"));
    assert_eq!(
        (header.version, header.xml_lang, header.to),
        (None, None, None)
    );
    assert_eq!(header.id.unwrap().len(), 32);
    assert_eq!(client.unread(), b"", "no features");
}

#[tokio::test]
async fn contract_s2_every_stream_has_its_own_id() {
    let fixture = Fixture::start().await;
    let mut ids = std::collections::HashSet::new();
    for _ in 0..20 {
        assert!(ids.insert(fixture.open("a.example").await.1));
    }
}

#[tokio::test]
async fn contract_s3_s4_errors_before_the_stream_come_with_a_header() {
    let fixture = Fixture::start().await;
    for (input, condition) in [
        (
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            "not-well-formed",
        ),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not-well-formed"),
        (b"<stream:stream to='a.example'>", "not-well-formed"),
        (
            b"<?xml version='1.0' encoding='ISO-8859-1'?>",
            "unsupported-encoding",
        ),
        (b"<!DOCTYPE stream>", "restricted-xml"),
        (b"<foo>", "bad-format"),
        (
            b"<stream:stream xmlns='jabber:client' \
              xmlns:stream='http://etherx.jabber.org/streams' to='a.example'>",
            "invalid-namespace",
        ),
    ] {
        let mut client = Client::dial(fixture.address).await;
        client.send(input).await;
        assert!(client.header().await.id.is_some());
        client.end(Some(condition)).await;
    }
    let errors = fixture
        .metrics
        .stream_errors(StreamCondition::NotWellFormed);
    assert_eq!(errors, 3);
}

#[tokio::test]
async fn contract_s5_wrong_handshakes_of_every_length() {
    let fixture = Fixture::start().await;
    // All at once: one after the other, each would be answered later than the one before.
    let mut clients = Vec::new();
    for length in 0..=44 {
        let (mut client, _) = fixture.open("a.example").await;
        client
            .send(format!("<handshake>{}</handshake>", "0".repeat(length)))
            .await;
        clients.push(client);
    }
    for mut client in clients {
        client.end(Some("not-authorized")).await;
    }
    assert_eq!(fixture.metrics.auth_failures(), 45);
    for other in [
        "<handshake/>",
        "<foo/>",
        "<message to='b.example' from='a.example'/>",
    ] {
        let (mut client, _) = fixture.open("a.example").await;
        client.send(other).await;
        client.end(Some("not-authorized")).await;
    }
    assert!(fixture.switch.outbox("a.example").is_none());
}

#[tokio::test]
async fn contract_s5_exotic_forms_of_a_valid_handshake() {
    let fixture = Fixture::start().await;
    type Form = fn(&str) -> String;
    let forms: [Form; 4] = [
        |digest| format!("<handshake xmlns='jabber:component:accept'>\n{digest}\t</handshake>"),
        |digest| format!("<handshake><![CDATA[{digest}]]></handshake>"),
        |digest| {
            format!(
                "  \n<handshake >&#x{:x};{}</handshake>",
                digest.as_bytes()[0],
                &digest[1..]
            )
        },
        |digest| format!("<c:handshake xmlns:c='jabber:component:accept'>{digest}</c:handshake>"),
    ];
    for (index, form) in forms.iter().enumerate() {
        let (mut client, id) = fixture.open(&format!("c{index}.example")).await;
        let plain = handshake(&id, SECRET);
        let digest = plain
            .trim_start_matches("<handshake>")
            .trim_end_matches("</handshake>");
        client.send(form(digest)).await;
        assert_eq!(client.element().await, "<handshake/>", "{}", form(digest));
    }
}

#[tokio::test]
async fn contract_s5_s6_what_is_pipelined_behind_the_handshake_follows_it() {
    let mut switch = Switch::new();
    switch.registrations = Semaphore::new(0);
    let fixture = Fixture::with(|_| {}, switch).await;
    let (mut client, id) = fixture.open("a.example").await;
    let mut text = handshake(&id, SECRET);
    for number in 0..500 {
        text += &message("a.example", "a.example", number);
    }
    client.send(text).await;
    fixture.switch.registrations.add_permits(1);
    assert_eq!(client.element().await, "<handshake/>");
    for number in 0..500 {
        assert_eq!(
            client.element().await,
            message("a.example", "a.example", number)
        );
    }
}

#[tokio::test]
async fn contract_s7_dribbling_does_not_extend_the_negotiation() {
    let timeout = Duration::from_millis(300);
    let fixture = Fixture::configured(|config| config.state_timeout = timeout).await;
    for prefix in ["", "<stream:stream", &header("a.example")] {
        let mut client = Client::dial(fixture.address).await;
        client.send(prefix).await;
        let refused = || {
            fixture
                .metrics
                .stream_errors(StreamCondition::ConnectionTimeout)
        };
        let before = refused();
        // White space may come for ever.
        bounded("the listener gives up", async {
            while refused() == before {
                client.send(" ").await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        client.header().await;
        client.end(Some("connection-timeout")).await;
    }
}

#[tokio::test]
async fn contract_s7_bytes_before_the_handshake_are_bounded() {
    let fixture = Fixture::start().await;
    let long = "x".repeat(9000);
    for flood in [
        format!("<stream:stream a='{long}"),
        " ".repeat(9000),
        format!("{}<handshake>{long}", header("a.example")),
        format!("{}<handshake>{long}{long}</handshake>", header("a.example")),
    ] {
        let mut client = Client::dial(fixture.address).await;
        client.send(flood).await;
        client.header().await;
        client.end(Some("policy-violation")).await;
    }
}

#[tokio::test]
async fn contract_s7_not_a_byte_beyond_8_kib_is_taken_for_the_handshake() {
    let fixture = Fixture::start().await;
    let negotiation = async |bytes: usize| {
        let (mut client, id) = fixture.open("a.example").await;
        let handshake = handshake(&id, SECRET);
        let padding = bytes - header("a.example").len() - handshake.len();
        client.send(" ".repeat(padding) + &handshake).await;
        client
    };
    let mut refused = negotiation(8 * 1024 + 1).await;
    refused.end(Some("policy-violation")).await;
    let mut accepted = negotiation(8 * 1024).await;
    assert_eq!(accepted.element().await, "<handshake/>");
}

#[tokio::test]
async fn contract_s8_the_newcomer_is_refused() {
    let fixture = Fixture::start().await;
    let mut first = fixture.connect("a.example").await;
    let (mut second, id) = fixture.open("A.example").await;
    second.send(handshake(&id, SECRET)).await;
    second.end(Some("conflict")).await;
    first.send(message("a.example", "a.example", 1)).await;
    assert_eq!(first.element().await, message("a.example", "a.example", 1));
}

#[tokio::test]
async fn contract_s8_r1_whether_a_component_takes_a_served_host_is_the_registrars_decision() {
    let fixture = Fixture::start().await;
    let _first = fixture.connect("example.ORG").await;
    assert!(fixture.switch.outbox("example.org").is_some());
    let (mut second, id) = fixture.open("example.org").await;
    second.send(handshake(&id, SECRET)).await;
    second.end(Some("conflict")).await;
}

#[tokio::test]
async fn contract_s8_the_old_connection_is_kicked() {
    let kick = |config: &mut switchyard_listener::ListenerConfig| {
        config.conflict = ConflictBehaviour::KickOld;
    };
    let fixture = Fixture::configured(kick).await;
    let mut old = fixture.connect("a.example").await;
    // A wrong secret kicks nobody.
    let (mut wrong, _) = fixture.open("a.example").await;
    wrong.send("<handshake>0</handshake>").await;
    wrong.end(Some("not-authorized")).await;
    old.send(message("a.example", "a.example", 1)).await;
    assert_eq!(old.element().await, message("a.example", "a.example", 1));

    let mut new = fixture.connect("a.example").await;
    let error = old.element().await;
    assert!(error.contains("<conflict ") && error.contains(">Replaced by new connection<"));
    assert_eq!(old.next().await, Event::End);
    // Contract R5: the late unregister of the old one leaves the new one alone.
    drop(old);
    until("the old connection is gone", || {
        fixture.metrics.connections() == 1
    })
    .await;
    new.send(message("a.example", "a.example", 2)).await;
    assert_eq!(new.element().await, message("a.example", "a.example", 2));
}

#[tokio::test]
async fn contract_r5_who_leaves_while_being_registered_is_unregistered() {
    let mut switch = Switch::new();
    switch.registrations = Semaphore::new(0);
    let fixture = Fixture::with(|_| {}, switch).await;
    let (mut client, id) = fixture.open("a.example").await;
    client.send(handshake(&id, SECRET)).await;
    drop(client);
    until("the connection is gone", || {
        fixture.metrics.accepted() == 1 && fixture.metrics.connections() == 0
    })
    .await;
    fixture.switch.registrations.add_permits(1);
    fixture.connect("a.example").await;
    assert_eq!(fixture.switch.unanswered.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn contract_d1_what_came_for_a_name_that_was_refused_at_last_is_given_back() {
    let mut switch = Switch::new();
    switch.registrations = Semaphore::new(1);
    let fixture = Fixture::with(|_| {}, switch).await;
    let mut sender = fixture.connect("a.example").await;
    let (mut refused, id) = fixture.open("b.example").await;
    refused.send(handshake(&id, SECRET)).await;
    until("the name is held", || {
        fixture.switch.outbox("b.example").is_some()
    })
    .await;
    // The second shows that the first has been routed.
    sender.send(message("a.example", "b.example", 1)).await;
    sender.send(message("a.example", "a.example", 2)).await;
    assert_eq!(sender.element().await, message("a.example", "a.example", 2));
    fixture.switch.registrations.close();
    refused.end(Some("resource-constraint")).await;
    let answer = sender.element().await;
    assert!(answer.contains("type='error'"), "{answer}");
    assert_eq!(fixture.metrics.undelivered(), 1);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let fixture = Fixture::start().await;
    let secret = switchyard_listener::Secret::new(SECRET);
    let config = switchyard_listener::ListenerConfig::new(fixture.address, secret);
    let error = switchyard_listener::Listener::bind(config).unwrap_err();
    let expected = format!("cannot listen for components on {}", fixture.address);
    assert_eq!(error.to_string(), expected);
    // Whoever prints the causes as well says it once.
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with("Address already in use"), "{cause}");
}
