//! Which connections are accepted, from whom, and what a hostile one can do: contract L, S5, S7.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use switchyard_listener::{Listener, ListenerConfig, Secret, StreamCondition};
use tokio::sync::Semaphore;

use crate::client::{Client, SECRET, handshake, header, message};
use crate::fixture::{Fixture, until};
use crate::switch::Switch;

const V1: &str = "PROXY TCP4 192.0.2.7 127.0.0.1 4660 8888\r\n";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn proxied(config: &mut ListenerConfig) {
    config.proxy_protocol = true;
}

/// A header of version 2 with an extension.
fn v2(command: u8) -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x34, 0x22, 0xb8];
    let extension = [0x04, 0, 2, 1, 2];
    let rest = [0x20 | command, 0x11, 0, 17];
    [V2_SIGNATURE, &rest, &addresses, &extension].concat()
}

/// Registers `domain` over a connection that may have said something already.
async fn register(client: &mut Client, domain: &str) {
    client.send(header(domain)).await;
    let id = client.header().await.id.unwrap();
    client.send(handshake(&id, SECRET)).await;
    assert_eq!(client.element().await, "<handshake/>");
}

/// Fails to authenticate, and is told so.
async fn fail(client: &mut Client) {
    client.send(header("a.example")).await;
    client.header().await;
    client.send("<handshake>0</handshake>").await;
    client.end(Some("not-authorized")).await;
}

#[tokio::test]
async fn contract_l_a_proxy_header_comes_first_in_any_form_and_nothing_behind_it_is_lost() {
    let fixture = Fixture::configured(proxied).await;
    for (index, start) in [V1.as_bytes(), b"PROXY UNKNOWN\r\n", &v2(1), &v2(0)]
        .into_iter()
        .enumerate()
    {
        let domain = format!("c{index}.example");
        // In one write with the stream, and byte by byte.
        let mut client = Client::dial(fixture.address).await;
        client
            .send([start, header(&domain).as_bytes()].concat())
            .await;
        assert_eq!(client.header().await.from, Some(domain.clone()));
        let mut client = Client::dial(fixture.address).await;
        for byte in start {
            client.send([*byte]).await;
        }
        register(&mut client, &domain).await;
        client.send(message(&domain, &domain, 1)).await;
        assert_eq!(client.element().await, message(&domain, &domain, 1));
    }
    assert_eq!(fixture.metrics.proxy_refused(), 0);
}

#[tokio::test]
async fn contract_l_a_bad_or_slow_proxy_header_hurts_its_own_connection_alone() {
    let fixture = Fixture::configured(proxied).await;
    let mut good = Client::dial(fixture.address).await;
    good.send(V1).await;
    register(&mut good, "good.example").await;
    let mut slow = Vec::new();
    for start in ["", "PROXY TCP4 ", "\r\n\r\n"] {
        let mut client = Client::dial(fixture.address).await;
        client.send(start).await;
        slow.push(client);
    }
    let bad = [
        header("a.example").into_bytes(),
        b"PROXY TCP4 nobody nowhere 1 2\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01".to_vec(),
        [b"PROXY TCP4 ".to_vec(), vec![b'1'; 100_000]].concat(),
        [V2_SIGNATURE, b"\x21\x11\xff\xff", &[0; 5000]].concat(),
    ];
    for (index, input) in bad.into_iter().enumerate() {
        let mut client = Client::dial(fixture.address).await;
        client.send(input).await;
        client.header().await;
        client.end(Some("policy-violation")).await;
        assert_eq!(fixture.metrics.proxy_refused(), index as u64 + 1);
    }
    let mut another = Client::dial(fixture.address).await;
    another.send(v2(1)).await;
    register(&mut another, "another.example").await;
    another
        .send(message("another.example", "good.example", 1))
        .await;
    let received = message("another.example", "good.example", 1);
    assert_eq!(good.element().await, received);
}

#[tokio::test]
async fn contract_s7_every_phase_of_a_negotiation_is_bounded() {
    let quick = |config: &mut ListenerConfig| config.state_timeout = Duration::from_millis(200);
    let behind_a_proxy = Fixture::configured(|config| {
        proxied(config);
        quick(config);
    })
    .await;
    for start in ["", "PROXY", V1] {
        let mut client = Client::dial(behind_a_proxy.address).await;
        client.send(start).await;
        client.header().await;
        client.end(Some("connection-timeout")).await;
    }
    let mut switch = Switch::new();
    switch.registrations = Semaphore::new(0);
    let fixture = Fixture::with(quick, switch).await;
    for start in ["", "<stream:stream", &header("a.example")] {
        let mut client = Client::dial(fixture.address).await;
        client.send(start).await;
        client.header().await;
        client.end(Some("connection-timeout")).await;
    }
    // The name is still being registered: it is not the component that is late.
    let (mut client, id) = fixture.open("a.example").await;
    client.send(handshake(&id, SECRET)).await;
    client.end(Some("resource-constraint")).await;
}

#[tokio::test]
async fn contract_l_max_connections_is_exact_and_a_free_place_is_taken_at_once() {
    let two = |config: &mut ListenerConfig| config.max_connections = Some(2);
    let fixture = Fixture::configured(two).await;
    let metrics = &fixture.metrics;
    let first = fixture.connect("a.example").await;
    let mut second = fixture.connect("b.example").await;
    let mut third = Client::dial(fixture.address).await;
    third.send(header("c.example")).await;
    until("the listener is full", || metrics.full() == 1).await;
    assert_eq!((metrics.accepted(), metrics.connections()), (2, 2));
    drop(first);
    let id = third.header().await.id.unwrap();
    third.send(handshake(&id, SECRET)).await;
    assert_eq!(third.element().await, "<handshake/>");
    // Those that are connected do not notice.
    second.send(message("b.example", "c.example", 1)).await;
    assert_eq!(third.element().await, message("b.example", "c.example", 1));
    // A higher limit lets waiting connections in at once.
    let mut fourth = Client::dial(fixture.address).await;
    fourth.send(header("d.example")).await;
    until("the listener is full", || metrics.full() == 2).await;
    fixture.reload(|config| config.max_connections = Some(3));
    fourth.header().await;
    // Nobody waits for ever because the node stops.
    let mut fifth = Client::dial(fixture.address).await;
    until("the listener is full", || metrics.full() == 3).await;
    fixture.shutdown.cancel();
    assert!(matches!(fifth.try_read().await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn listeners_that_share_a_budget_have_no_more_connections_than_that_together() {
    let budget = Arc::new(Semaphore::new(2));
    let fixture = Fixture::within(&budget);
    let beside = Fixture::within(&budget);
    let first = fixture.connect("a.example").await;
    let _second = beside.connect("b.example").await;
    let mut third = Client::dial(beside.address).await;
    third.send(header("c.example")).await;
    until("no permit is left", || beside.metrics.full() > 0).await;
    assert_eq!(beside.metrics.accepted(), 1);
    drop(first);
    third.header().await;
}

#[tokio::test]
async fn contract_l_reuse_port_shares_an_address_and_nothing_else_does() {
    let shared = |config: &mut ListenerConfig| config.reuse_port = true;
    let fixture = Fixture::configured(shared).await;
    let mut config = ListenerConfig::new(fixture.address, Secret::new(SECRET));
    assert!(Listener::bind(config.clone()).is_err());
    config.reuse_port = true;
    let second = Listener::bind(config).unwrap();
    assert_eq!(second.local_addr(), fixture.address);
}

#[tokio::test]
async fn contract_l_the_wildcard_of_ipv6_takes_ipv4_unless_told_otherwise() {
    let bind = |ip: Ipv6Addr, only: bool| {
        let mut config = ListenerConfig::new((ip, 0).into(), Secret::new(SECRET));
        config.ipv6_only = only;
        Listener::bind(config).unwrap()
    };
    let connect = |ip: std::net::IpAddr, listener: &Listener| {
        tokio::net::TcpStream::connect(SocketAddr::new(ip, listener.local_addr().port()))
    };
    let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    let dual = bind(Ipv6Addr::UNSPECIFIED, false);
    assert!(connect(v4, &dual).await.is_ok());
    assert!(connect(v6, &dual).await.is_ok());
    let only = bind(Ipv6Addr::UNSPECIFIED, true);
    assert!(connect(v4, &only).await.is_err());
    assert!(connect(v6, &only).await.is_ok());
}

#[tokio::test]
async fn contract_s5_failures_of_one_source_are_held_back_and_nobody_else() {
    let fixture = Fixture::configured(proxied).await;
    let from = |number: u8| format!("PROXY TCP4 192.0.2.{number} 127.0.0.1 4660 8888\r\n");
    for _ in 0..4 {
        let mut client = Client::dial(fixture.address).await;
        client.send(from(1)).await;
        fail(&mut client).await;
    }
    let metrics = &fixture.metrics;
    assert_eq!(
        (metrics.auth_failures(), metrics.refusals_delayed()),
        (4, 1)
    );
    let mut other_source = Client::dial(fixture.address).await;
    other_source.send(from(2)).await;
    fail(&mut other_source).await;
    assert_eq!(metrics.refusals_delayed(), 1);
    // A component behind the same address that knows its secret.
    let mut valid = Client::dial(fixture.address).await;
    valid.send(from(1)).await;
    register(&mut valid, "valid.example").await;
    assert_eq!(metrics.refusals_delayed(), 1);
}

#[tokio::test]
async fn a_flood_of_silent_connections_is_over_in_time_and_disturbs_nobody() {
    let quick = |config: &mut ListenerConfig| config.state_timeout = Duration::from_secs(2);
    let fixture = Fixture::configured(quick).await;
    let mut before = fixture.connect("before.example").await;
    let mut flood = Vec::new();
    for _ in 0..500 {
        flood.push(Client::dial(fixture.address).await);
    }
    let mut after = fixture.connect("after.example").await;
    before
        .send(message("before.example", "after.example", 1))
        .await;
    let received = message("before.example", "after.example", 1);
    assert_eq!(after.element().await, received);
    let timed_out = || {
        let condition = StreamCondition::ConnectionTimeout;
        fixture.metrics.stream_errors(condition)
    };
    until("the flood is over", || timed_out() == 500).await;
    drop(flood);
    until("its memory is free", || fixture.metrics.connections() == 2).await;
}
