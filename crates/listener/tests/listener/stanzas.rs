//! What is checked and changed in stanzas, and what other components see of it: contract V, X.

use crate::client::{Client, Event, SECRET, handshake, message};
use crate::fixture::Fixture;

#[tokio::test]
async fn contract_v1_v2_v3_bad_stanzas_are_answered_and_the_stream_stays_open() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect("a.example").await;
    let good = message("a.example", "a.example", 7);
    for bad in [
        "<foo from='a.example' to='b.example' id='x'/>",
        "<message from='a.example' id='x'/>",
        "<message from='a.example' to='@' id='x'/>",
        "<message from='evil.example' to='a.example' id='x'/>",
        "<message from='me@sub.a.example' to='a.example' id='x'/>",
        "<message to='a.example' id='x'/>",
        "<iq type='foo' from='a.example' to='a.example' id='x'/>",
        // Through the rewriting path as well.
        "<message xmlns='jabber:client' from='evil.example' to='a.example' id='x'/>",
    ] {
        client.send(format!("{good}{bad}{good}")).await;
        let (mut errors, mut delivered) = (0, 0);
        for _ in 0..3 {
            let element = client.element().await;
            if element == good {
                delivered += 1;
            } else {
                assert!(element.contains("type='error'"), "{element}");
                assert!(element.contains("<bad-request "), "{element}");
                assert!(element.contains(" id='x'"), "{element}");
                errors += 1;
            }
        }
        assert_eq!((errors, delivered), (1, 2), "{bad}");
    }
    assert_eq!(fixture.metrics.stanza_errors(), 8);
}

#[tokio::test]
async fn contract_v5_errors_and_results_are_never_answered() {
    let fixture = Fixture::start().await;
    let mut client = fixture.connect("a.example").await;
    for silent in [
        "<message type='error' from='evil.example' to='a.example'/>",
        "<iq type='result' id='x' from='a.example' to='@'/>",
        "<presence type='error' from='a.example' to='nowhere.example'/>",
        "<iq type='result' id='x' from='a.example' to='nowhere.example'/>",
    ] {
        client.send(silent).await;
    }
    let marker = message("a.example", "a.example", 1);
    client.send(&marker).await;
    assert_eq!(client.element().await, marker);
}

#[tokio::test]
async fn contract_v3_a_subdomain_component_speaks_under_served_hosts() {
    let fixture = Fixture::start().await;
    let mut client = Client::dial(fixture.address).await;
    client
        .send(
            "<stream:stream xmlns='jabber:component:accept' is_subdomain='true' \
             xmlns:stream='http://etherx.jabber.org/streams' to='chat'>",
        )
        .await;
    let id = client.header().await.id.unwrap();
    client.send(handshake(&id, SECRET)).await;
    assert_eq!(client.element().await, "<handshake/>");
    let own = message("room@chat.example.org", "chat", 1);
    client.send(&own).await;
    assert_eq!(client.element().await, own);
    client
        .send(message("room@chat.other.example", "chat", 2))
        .await;
    assert!(client.element().await.contains("<bad-request "));
}

#[tokio::test]
async fn contract_x5_what_is_forwarded_stands_on_its_own_in_order() {
    let fixture = Fixture::start().await;
    let mut receiver = fixture.connect("b.example").await;
    let mut sender = Client::dial(fixture.address).await;
    sender
        .send(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xml:lang='pl' \
             xmlns:stream='http://etherx.jabber.org/streams' xmlns:x='urn:x' to='a.example'>",
        )
        .await;
    let id = sender.header().await.id.unwrap();
    sender.send(handshake(&id, SECRET)).await;
    assert_eq!(sender.element().await, "<handshake/>");
    let mut text = String::new();
    for _ in 0..3 {
        text += "<message from='a.example' to='b.example'><x:a/></message>\
                 <message xml:lang='de' from='a.example' to='b.example'/>\
                 <message xml:lang='de' from='a.example' to='b.example'/>\
                 <message xml:lang='de' xmlns='jabber:client' from='a.example' to='b.example'/>";
    }
    sender.send(text).await;
    for _ in 0..3 {
        let first = receiver.element().await;
        assert!(
            first.contains("xmlns:x='urn:x'") && first.contains("xml:lang='pl'"),
            "{first}"
        );
        for _ in 0..2 {
            let plain = "<message xml:lang='de' from='a.example' to='b.example'/>";
            assert_eq!(receiver.element().await, plain);
        }
        let last = receiver.element().await;
        assert!(
            !last.contains("jabber:client") && last.contains("xml:lang='de'"),
            "{last}"
        );
    }
}

#[tokio::test]
async fn contract_x4_malformed_input_is_the_senders_own_affair() {
    let fixture = Fixture::start().await;
    let mut victim = fixture.connect("victim.example").await;
    let to = "from='evil.example' to='victim.example'";
    for (poison, condition) in [
        (format!("<message {to}></iq>"), "not-well-formed"),
        (format!("<message {to}><x:y/></message>"), "not-well-formed"),
        (format!("<message {to}>&#x1;</message>"), "not-well-formed"),
        (format!("<message {to}>&nbsp;</message>"), "not-well-formed"),
        (format!("<message {to} a='1' a='2'/>"), "not-well-formed"),
        (format!("<message {to}>]]></message>"), "not-well-formed"),
        (format!("<message {to}>\u{1}</message>"), "not-well-formed"),
        (
            format!("<message {to}><!-- --></message>"),
            "restricted-xml",
        ),
        (
            format!("<message {to}><?php ?></message>"),
            "restricted-xml",
        ),
        (format!("<message {to}/></stream:strea>"), "not-well-formed"),
        ("text".to_owned(), "bad-format"),
        (crate::client::header("evil.example"), "policy-violation"),
        (
            format!("<message {to}>{}", "<a>".repeat(1000)),
            "policy-violation",
        ),
    ] {
        let mut evil = fixture.connect("evil.example").await;
        let before = message("evil.example", "victim.example", 1);
        evil.send(format!("{before}{poison}")).await;
        evil.end(Some(condition)).await;
        // Exactly the whole stanzas before the fault have come through.
        assert_eq!(victim.element().await, before);
        if poison.ends_with("</stream:strea>") {
            assert_eq!(victim.element().await, format!("<message {to}/>"));
        }
    }
    // A stanza that was cut off by a lost connection leaves no trace either.
    let mut evil = fixture.connect("evil.example").await;
    evil.send(format!("<message {to}><body>cut of")).await;
    drop(evil);
    victim
        .send(message("victim.example", "victim.example", 2))
        .await;
    assert_eq!(
        victim.element().await,
        message("victim.example", "victim.example", 2)
    );
    victim.send("</stream:stream>").await;
    assert_eq!(victim.next().await, Event::End);
}

#[tokio::test]
async fn contract_x3_an_oversized_stanza_ends_its_stream_early() {
    let fixture = Fixture::configured(|config| config.max_stanza_size = 20_000).await;
    let mut client = fixture.connect("a.example").await;
    let fits = format!(
        "<message from='a.example' to='a.example'>{}</message>",
        "x".repeat(19_000)
    );
    client.send(&fits).await;
    assert_eq!(client.element().await, fits);
    // Never finished, far larger than what the server wants to see.
    client
        .send("<message from='a.example' to='a.example'>")
        .await;
    client.send("x".repeat(3_000_000)).await;
    client.end(Some("policy-violation")).await;
}
