//! A configuration that is replaced while the listener serves: contract A4.

use std::collections::BTreeMap;

use switchyard_listener::{Secret, SecretSet, Secrets};
use switchyard_registry::Domain;
use tokio::net::TcpStream;

use crate::client::{Client, SECRET, handshake, message};
use crate::fixture::{Fixture, bounded, until};

fn rotating(newest: &str, previous: &str) -> SecretSet {
    SecretSet::rotating(Secret::new(newest), Secret::new(previous))
}

fn table(entries: &[(&str, &str)]) -> BTreeMap<Domain, SecretSet> {
    let entries = entries.iter();
    entries
        .map(|(name, secret)| {
            let name = Domain::prepare(name).unwrap();
            (name, SecretSet::new(Secret::new(secret)))
        })
        .collect()
}

#[tokio::test]
async fn contract_a4_new_connections_have_the_new_secret_and_open_ones_stay() {
    let fixture = Fixture::start().await;
    let mut open = fixture.connect("a.example").await;
    fixture.reload(|config| config.secrets = Secret::new("another").into());
    let mut late = Client::attempt(fixture.address, "b.example", SECRET).await;
    late.end(Some("not-authorized")).await;
    let mut new = Client::attempt(fixture.address, "b.example", "another").await;
    assert_eq!(new.element().await, "<handshake/>");
    open.send(message("a.example", "b.example", 1)).await;
    assert_eq!(new.element().await, message("a.example", "b.example", 1));
}

#[tokio::test]
async fn a_listener_cannot_move() {
    let fixture = Fixture::start().await;
    let mut config = (*fixture.handle.config().current()).clone();
    config.address.set_port(1);
    let error = fixture.handle.reload(config).unwrap_err();
    assert_eq!(error.wanted.port(), 1);
    assert_ne!(fixture.handle.config().load().address.port(), 1);
}

#[tokio::test]
async fn contract_a4_a_removed_listener_ends_its_connections_alone() {
    let fixture = Fixture::start().await;
    let beside = fixture.beside(|_| {});
    let mut open = fixture.connect("a.example").await;
    let (mut negotiating, _) = fixture.open("b.example").await;
    let mut other = beside.connect("c.example").await;
    fixture.handle.remove().await;
    assert!(TcpStream::connect(fixture.address).await.is_err());
    open.end(Some("reset")).await;
    negotiating.end(Some("reset")).await;
    drop((open, negotiating));
    until("the name is free", || {
        fixture.switch.outbox("a.example").is_none()
    })
    .await;
    bounded("the listener ends", fixture.serving).await.unwrap();
    other.send(message("c.example", "c.example", 1)).await;
    assert_eq!(other.element().await, message("c.example", "c.example", 1));
}

#[tokio::test]
async fn contract_s5_both_secrets_are_valid_during_a_rotation() {
    let both = |config: &mut switchyard_listener::ListenerConfig| {
        config.secrets = Secrets::new(Some(rotating("new", SECRET)), BTreeMap::new());
    };
    let fixture = Fixture::configured(both).await;
    for secret in ["new", SECRET] {
        let mut client = Client::attempt(fixture.address, secret, secret).await;
        assert_eq!(client.element().await, "<handshake/>", "{secret}");
    }
    let mut client = Client::attempt(fixture.address, "c.example", "newer").await;
    client.end(Some("not-authorized")).await;
}

#[tokio::test]
async fn contract_a4_a_secret_that_is_revoked_during_a_negotiation_opens_nothing() {
    let fixture = Fixture::start().await;
    let (mut client, id) = fixture.open("a.example").await;
    fixture.reload(|config| config.secrets = Secret::new("another").into());
    client.send(handshake(&id, SECRET)).await;
    client.end(Some("not-authorized")).await;
}

#[tokio::test]
async fn contract_a4_who_could_not_connect_again_by_any_secret_is_told_to() {
    let fixture = Fixture::start().await;
    let mut kept = fixture.connect("kept.example").await;
    let mut gone = fixture.connect("gone.example").await;
    let entries = table(&[("kept.example", "another")]);
    fixture.reload(|config| config.secrets = Secrets::new(None, entries));
    gone.send(message("gone.example", "kept.example", 1)).await;
    gone.end(Some("reset")).await;
    kept.send(message("kept.example", "kept.example", 2)).await;
    // What was sent before the end may have been read, or not.
    let mut last = kept.element().await;
    if last.contains("id='1'") {
        last = kept.element().await;
    }
    assert_eq!(last, message("kept.example", "kept.example", 2));
}

#[tokio::test]
async fn contract_a4_a_revoked_secret_ends_its_connections_where_that_is_asked_for() {
    let fixture = Fixture::configured(|config| config.disconnect_revoked = true).await;
    let mut old = fixture.connect("a.example").await;
    let both = || Secrets::new(Some(rotating("new", SECRET)), BTreeMap::new());
    fixture.reload(|config| config.secrets = both());
    old.send(message("a.example", "a.example", 1)).await;
    assert_eq!(old.element().await, message("a.example", "a.example", 1));
    let mut new = Client::attempt(fixture.address, "b.example", "new").await;
    assert_eq!(new.element().await, "<handshake/>");
    fixture.reload(|config| config.secrets = Secret::new("new").into());
    old.end(Some("reset")).await;
    new.send(message("b.example", "b.example", 2)).await;
    assert_eq!(new.element().await, message("b.example", "b.example", 2));
}
