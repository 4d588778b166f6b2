//! Two nodes over loopback sockets.

use std::sync::Arc;
use std::time::Duration;

use switchyard_listener::Progress;
use switchyard_registry::{Incarnation, NodeId};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tonic::Code;

use super::super::hello::{self, Position};
use super::super::proto::link_client::LinkClient;
use super::super::proto::{Hello, LinkRequest, link_request::Frame};
use super::super::transport::endpoint;
use super::super::{Link, Outcome, PeersConfig, ReturnReason, SendError, Timings};
use super::fixture::{Node, STANZA, destination, life, parcel, parcel_of, send, until_open};
use super::proxy::Proxy;

/// Two nodes, and a link from the first to the second.
async fn pair() -> (Node, Node, Arc<Link>) {
    let one = Node::start(1, |_| {}).await;
    let two = Node::start(2, |_| {}).await;
    let link = one.join(two.id, 20, two.address);
    (one, two, link)
}

/// Numbers between `low` and `high` that look random, the same in every run.
fn numbers(low: u64, high: u64) -> impl FnMut() -> u64 {
    let mut state = 42_u64;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        low + (state >> 33) % (high - low)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_d1_d2_all_arrive_once_in_order_although_connections_break() {
    const COUNT: u64 = 10_000;
    let one = Node::start(1, |config| {
        // Otherwise a batch might not fit between two cuts.
        config.batch_bytes = 4096;
        config.window.bytes = 64 * 1024;
    })
    .await;
    let two = Node::start(2, |_| {}).await;
    let mut budgets = numbers(1_000, 120_000);
    let proxy = Proxy::start(two.address, move || Some(budgets())).await;
    let link = one.join(two.id, 20, proxy.address);

    let mut sizes = numbers(9, 600);
    for n in 1..=COUNT {
        let to = destination((n % 5) as u8);
        send(&link, parcel(to, n, sizes() as usize)).await;
    }

    let seen = two.wait(|seen| seen.delivered.len() as u64 >= COUNT).await;
    assert_eq!(seen.delivered, (1..=COUNT).collect::<Vec<_>>());
    assert!(proxy.cuts() >= 20, "only {} cuts", proxy.cuts());
    until_held(&link, 0).await;
    one.peers
        .shutdown(Instant::now() + Duration::from_secs(30))
        .await;
    let seen = one.wait(|_| true).await;
    assert_eq!(seen.returned, [], "none came back as well");
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_d3_an_unreachable_peer_gives_back_what_it_never_had() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let one = Node::start(1, |config| {
        config.timings.grace = Duration::from_millis(100)
    })
    .await;
    let link = one.join(NodeId(2), 20, address);

    send(&link, parcel(destination(0), 1, 100)).await;
    let seen = one.wait(|seen| !seen.returned.is_empty()).await;
    assert_eq!(seen.returned, [(1, ReturnReason::Unreachable)]);
    let refused = link.try_send(parcel(destination(0), 2, 100));
    assert!(
        matches!(refused, Err(SendError::Unreachable(_))),
        "{refused:?}"
    );
    // Nobody waits for room that will not come.
    link.wait_for_room(&destination(0)).await;

    let listener = TcpListener::bind(address)
        .await
        .expect("the port is still free");
    let two = Node::start_on(2, listener, |_| {});
    until_open(&link, true).await;
    send(&link, parcel(destination(0), 3, 100)).await;
    let seen = two.wait(|seen| !seen.delivered.is_empty()).await;
    assert_eq!(seen.delivered, [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_d1_what_was_sent_waits_for_the_peer_or_its_end() {
    let one = Node::start(1, |config| {
        config.timings.grace = Duration::from_millis(50);
        config.window.bytes = 100;
    })
    .await;
    let two = Node::start(2, |_| {}).await;
    let proxy = Proxy::start(two.address, || None).await;
    let link = one.join(two.id, 20, proxy.address);
    until_open(&link, true).await;

    // Sent into a network that has been parted: it may have arrived, so it must not come back.
    proxy.hold(true);
    send(&link, parcel(destination(0), 1, 100)).await;
    until_taken(&link).await;
    let full = link.try_send(parcel(destination(0), 2, 100));
    assert!(matches!(full, Err(SendError::Full(_))), "{full:?}");
    let room = Arc::clone(&link);
    let waiting = tokio::spawn(async move { room.wait_for_room(&destination(0)).await });
    // A new life of this node drops the connection, which cannot come back.
    one.peers.set_life(Some(life(11)));
    timeout(Duration::from_secs(20), waiting)
        .await
        .expect("nobody waits for longer than the grace period")
        .expect("it does not panic");
    let refused = link.try_send(parcel(destination(0), 2, 100));
    assert!(
        matches!(refused, Err(SendError::Unreachable(_))),
        "{refused:?}"
    );
    assert_eq!(link.status().parcels, 1);

    one.peers.node_gone(two.id, Incarnation(20));
    let seen = one.wait(|_| true).await;
    assert_eq!(seen.returned, [(1, ReturnReason::PeerGone)]);
    assert!(one.peers.link(two.id, Incarnation(20)).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_d1_a_peer_that_begins_a_new_life_in_its_process_is_sent_to_at_once() {
    let one = Node::start(1, |config| {
        // A test that has to wait for it fails.
        config.timings.refused = Duration::from_secs(600);
    })
    .await;
    let two = Node::start(2, |_| {}).await;
    let old = one.join(two.id, 20, two.address);
    for n in 1..=100 {
        send(&old, parcel(destination(0), n, 100)).await;
    }
    two.wait(|seen| seen.delivered.len() == 100).await;
    one.peers.node_gone(two.id, Incarnation(20));

    two.ledger.set_alive(Some(Incarnation(21)));
    two.peers.set_life(Some(life(21)));
    let new = one.join(two.id, 21, two.address);
    for n in 101..=200 {
        send(&new, parcel(destination(0), n, 100)).await;
    }
    let seen = two.wait(|seen| seen.delivered.len() >= 200).await;
    assert_eq!(seen.delivered, (1..=200).collect::<Vec<_>>());
    let opened = one.peers.counters().opened();
    assert_eq!(opened, 2, "the new link needs one stream only");
}

/// Waits until the transport has taken what the link holds: a batch goes as soon as it may.
async fn until_taken(link: &Link) {
    let taken = async {
        while link.has_unsent() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(20), taken)
        .await
        .expect("it is taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_d1_a_peer_whose_lease_ran_out_goes_on_in_the_same_life() {
    let (one, two, link) = pair().await;
    send(&link, parcel(destination(0), 1, 100)).await;
    two.wait(|seen| seen.delivered == [1]).await;
    // Without quorum nobody gives it up.
    two.peers.set_life(None);
    until_open(&link, false).await;
    two.peers.set_life(Some(life(20)));
    until_open(&link, true).await;
    send(&link, parcel(destination(0), 2, 100)).await;
    two.wait(|seen| seen.delivered == [1, 2]).await;
    let seen = one.wait(|_| true).await;
    assert_eq!(seen.returned, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_d2_what_comes_to_a_peer_without_a_lease_comes_again_in_order() {
    let (one, two, link) = pair().await;
    two.ledger.set_alive(None);
    for n in 1..=50 {
        send(&link, parcel(destination(0), n, 100)).await;
    }
    let refused = async {
        while one.peers.counters().opened() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(20), refused)
        .await
        .expect("the peer ends the stream");
    two.ledger.set_alive(Some(Incarnation(20)));
    for n in 51..=100 {
        send(&link, parcel(destination(0), n, 100)).await;
    }
    let seen = two.wait(|seen| seen.delivered.len() >= 100).await;
    assert_eq!(seen.delivered, (1..=100).collect::<Vec<_>>());
    let seen = one.wait(|_| true).await;
    assert_eq!(seen.returned, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_r5_a_new_life_of_the_peer_ends_the_link_to_the_old_one() {
    let (one, two, link) = pair().await;
    send(&link, parcel(destination(0), 1, 100)).await;
    two.wait(|seen| seen.delivered == [1]).await;
    until_open(&link, true).await;

    // The peer itself knows first.
    two.ledger.set_alive(Some(Incarnation(21)));
    two.peers.set_life(Some(life(21)));
    until_open(&link, false).await;
    let refused = async {
        while link.try_send(parcel(destination(0), 2, 100)).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), refused)
        .await
        .expect("the link ends");
    let seen = one.wait(|_| true).await;
    assert!(
        seen.returned.iter().all(|(id, _)| *id == 2),
        "{:?}",
        seen.returned
    );

    // Then the registry tells everybody.
    let new = one.join(two.id, 21, two.address);
    assert!(one.peers.link(two.id, Incarnation(20)).is_none());
    send(&new, parcel(destination(0), 3, 100)).await;
    two.wait(|seen| seen.delivered == [1, 3]).await;
    one.peers.node_gone(two.id, Incarnation(20));
    assert!(
        one.peers.link(two.id, Incarnation(21)).is_some(),
        "a late end of the old one"
    );

    // What waited for a life that the registry says is over comes back.
    let nowhere = ([127, 0, 0, 1], 1).into();
    let waiting = one.join(NodeId(3), 30, nowhere);
    send(&waiting, parcel(destination(0), 4, 100)).await;
    one.join(NodeId(3), 31, nowhere);
    let seen = one.wait(|_| true).await;
    let last = seen.returned.last();
    assert_eq!(last, Some(&(4, ReturnReason::Unreachable)));
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_d1_what_the_peer_rejects_comes_back() {
    let (one, two, link) = pair().await;
    two.ledger.decide(destination(1), Outcome::NotHere);
    two.ledger.decide(destination(2), Outcome::Denied);
    two.ledger.decide(destination(3), Outcome::Overloaded);
    for n in 0..=4 {
        send(&link, parcel(destination(n), n.into(), 100)).await;
    }
    let seen = one.wait(|seen| seen.returned.len() == 3).await;
    let expected = [
        (1, ReturnReason::NotHere),
        (2, ReturnReason::Denied),
        (3, ReturnReason::Overloaded),
    ];
    assert_eq!(seen.returned, expected);
    let seen = two.wait(|seen| seen.delivered.len() == 2).await;
    assert_eq!(seen.delivered, [0, 4]);
    let (sent, received) = (one.peers.counters().sent(), two.peers.counters().received());
    assert_eq!((sent.stanzas(), sent.bytes()), (5, 500));
    assert_eq!((received.stanzas(), received.bytes()), (5, 500));
    for (_, reason) in expected {
        assert_eq!(one.peers.counters().returned(reason), 1);
    }
}

/// Waits until `link` holds that many parcels for its peer.
async fn until_held(link: &Link, parcels: usize) {
    let holding = async {
        while link.status().parcels > 0 || link.status().held_parcels != parcels {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let held = timeout(Duration::from_secs(20), holding).await;
    assert!(held.is_ok(), "{:?} instead of {parcels}", link.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_d1_what_is_not_written_when_its_node_dies_is_answered_by_its_sender() {
    let (one, two, link) = pair().await;
    two.ledger.stop_writing();
    for n in 1..=4 {
        send(&link, parcel_of(destination(0), n, 100, 3)).await;
    }
    until_held(&link, 4).await;
    assert_eq!(link.status().held_bytes, 400);
    let mut receipts = two.ledger.take_unwritten().into_iter();
    let mut next = || receipts.next().expect("four have arrived");
    next().written();
    let progress = Progress {
        stanzas: 2,
        bytes: 2 * STANZA,
    };
    next().partly_written(progress);
    assert!(next().lost(), "the sender answers");
    let seen = one.wait(|seen| seen.returned.len() == 2).await;
    // Dropped, the receipt of the second says that the rest of it is lost.
    assert_eq!(
        seen.returned,
        [(2, ReturnReason::Lost), (3, ReturnReason::Lost)]
    );
    assert_eq!(seen.returned_stanzas, 1 + 3);
    until_held(&link, 1).await;

    // It died: its lease ended first.
    let last = next();
    let consignor = Arc::clone(last.consignor().expect("it is unused"));
    assert!(consignor.may_write());
    two.ledger.set_alive(None);
    one.peers.node_gone(two.id, Incarnation(20));
    let seen = one.wait(|seen| seen.returned.len() == 3).await;
    assert_eq!(seen.returned.last(), Some(&(4, ReturnReason::PeerGone)));
    assert!(!consignor.may_write(), "it has been answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_d4_what_one_component_does_not_read_holds_up_nobody_else() {
    let one = Node::start(1, |config| config.window.bytes = 10_000).await;
    let two = Node::start(2, |_| {}).await;
    let link = one.join(two.id, 20, two.address);
    two.ledger.stop_writing();
    for n in 1..=1000 {
        send(&link, parcel(destination(0), n, 100)).await;
    }
    until_held(&link, 1000).await;
    drop(two.ledger.take_unwritten());
    let seen = one.wait(|seen| seen.returned.len() == 1000).await;
    assert!(seen.returned.iter().map(|r| r.0).eq(1..=1000));
    until_held(&link, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_d1_what_a_sender_that_is_gone_can_no_longer_answer_its_peer_answers() {
    let (one, two, link) = pair().await;
    two.ledger.stop_writing();
    for n in 1..=2 {
        send(&link, parcel(destination(0), n, 100)).await;
    }
    until_held(&link, 2).await;
    let mut receipts = two.ledger.take_unwritten().into_iter();
    one.peers.shutdown(Instant::now()).await;
    let seen = one.wait(|_| true).await;
    assert_eq!(seen.returned, [], "the peer has them");
    two.peers.node_gone(one.id, Incarnation(10));
    let first = receipts.next().expect("both have arrived");
    assert!(
        first
            .consignor()
            .is_some_and(|consignor| consignor.may_write())
    );
    assert!(!first.lost(), "nobody else answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_d4_a_congested_destination_holds_up_nobody_else() {
    let (_one, two, link) = pair().await;
    two.ledger.decide(destination(0), Outcome::Congested);
    let mut sent = 0;
    let refused = async {
        while link.try_send(parcel(destination(0), sent, 100)).is_ok() {
            sent += 1;
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), refused)
        .await
        .expect("the peer asks to hold back");

    for n in 0..1000 {
        send(&link, parcel(destination(1), 1_000_000 + n, 100)).await;
    }
    two.wait(|seen| seen.delivered.last() == Some(&1_000_999))
        .await;
    assert!(matches!(
        link.try_send(parcel(destination(0), sent, 100)),
        Err(SendError::Congested(_))
    ));

    let (room, to) = (Arc::clone(&link), destination(0));
    let waiting = tokio::spawn(async move { room.wait_for_room(&to).await });
    two.ledger.decide(destination(0), Outcome::Accepted);
    timeout(Duration::from_secs(20), waiting)
        .await
        .expect("the peer says when there is room")
        .expect("it does not panic");
    send(&link, parcel(destination(0), sent, 100)).await;
    two.wait(|seen| seen.delivered.last() == Some(&sent)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stanza_larger_than_a_window_goes_alone() {
    let (_one, two, link) = pair().await;
    send(&link, parcel(destination(0), 1, 20 * 1024 * 1024)).await;
    send(&link, parcel(destination(0), 2, 10)).await;
    two.wait(|seen| seen.delivered == [1, 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contract_s12_a_node_that_ends_flushes_first_and_takes_back_the_rest() {
    let (one, two, link) = pair().await;
    for n in 1..=500 {
        send(&link, parcel(destination(0), n, 1000)).await;
    }
    one.peers
        .shutdown(Instant::now() + Duration::from_secs(20))
        .await;
    let seen = two.wait(|_| true).await;
    assert_eq!(seen.delivered, (1..=500).collect::<Vec<_>>());
    let refused = link.try_send(parcel(destination(0), 501, 10));
    assert!(matches!(refused, Err(SendError::Unreachable(_))));

    let three = Node::start(3, |_| {}).await;
    let nowhere = three.join(NodeId(4), 40, ([127, 0, 0, 1], 1).into());
    send(&nowhere, parcel(destination(0), 1, 10)).await;
    three.peers.shutdown(Instant::now()).await;
    let seen = three.wait(|_| true).await;
    assert_eq!(seen.returned, [(1, ReturnReason::Unreachable)]);
}

type Change = fn(&mut Hello);

/// The status with which node 2, in incarnation 20, answers a hello.
async fn answer(two: &Node, change: impl FnOnce(&mut Hello)) -> Code {
    let config = PeersConfig::new("c".to_owned(), NodeId(1), "node1".to_owned());
    let position = Position {
        session: 1,
        rejects_seen: 0,
        sent_through: 0,
    };
    let mut hello = hello::say(
        &config,
        &life(10),
        7,
        5,
        position,
        (two.id, Incarnation(20)),
    );
    change(&mut hello);
    let endpoint = endpoint(&two.address.to_string(), &Timings::default()).expect("an address");
    let mut client = LinkClient::new(endpoint.connect().await.expect("it listens"));
    let request = LinkRequest {
        frame: Some(Frame::Hello(hello)),
    };
    match client.open(tokio_stream::once(request)).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}

#[tokio::test]
async fn hellos_that_cannot_be_served_are_refused_in_words() {
    let two = Node::start(2, |_| {}).await;
    let cases: [(Code, Change); 9] = [
        (Code::Ok, |_| {}),
        (Code::Unimplemented, |h| {
            (h.version, h.oldest_version) = (9, 8)
        }),
        (Code::PermissionDenied, |h| h.cluster = "other".to_owned()),
        (Code::PermissionDenied, |h| {
            h.cluster_id = "other".to_owned()
        }),
        (Code::NotFound, |h| h.receiver_id = 3),
        (Code::FailedPrecondition, |h| h.receiver_incarnation = 19),
        (Code::Unavailable, |h| h.receiver_incarnation = 21),
        (Code::InvalidArgument, |h| h.sender = None),
        (Code::Aborted, |h| {
            h.sender.as_mut().expect("a sender").attempt = 4;
        }),
    ];
    for (expected, change) in cases {
        assert_eq!(answer(&two, change).await, expected);
    }
    // A later version that can still speak this one is welcome.
    let later = |h: &mut Hello| {
        h.version = 2;
        h.sender.as_mut().expect("a sender").attempt = 6;
    };
    assert_eq!(answer(&two, later).await, Code::Ok);
}
