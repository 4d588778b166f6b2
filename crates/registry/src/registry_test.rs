//! What only the inside of a registry can bring about.

use std::sync::Arc;
use std::time::Duration;

use openraft::RaftMetrics;
use openraft::error::Fatal;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::command::{Batch, Command};
use crate::registry::end_of_raft;
use crate::{
    Claim, Config, ConnectionId, Domain, Incarnation, NewRegistration, NodeId, OnNoQuorum,
    Registry, TcpDialer, Timings,
};

const PATIENCE: Duration = Duration::from_secs(30);

fn config(dir: &tempfile::TempDir) -> Config {
    Config {
        cluster: "test".to_owned(),
        node: "n1".to_owned(),
        // Nobody calls: the cluster has one node.
        advertise: "127.0.0.1:1".to_owned(),
        members: Vec::new(),
        seeds: None,
        voters: crate::DEFAULT_VOTERS,
        data_dir: dir.path().to_owned(),
        timings: Timings::default(),
        dialer: Arc::new(TcpDialer),
        on_no_quorum: OnNoQuorum::Refuse,
    }
}

fn registration(domain: &str, connection: u64) -> NewRegistration {
    NewRegistration {
        domain: Domain::prepare(domain).unwrap(),
        connection: ConnectionId(connection),
        is_subdomain: false,
        hidden: false,
        claim: Claim::Shared,
    }
}

/// A node that the cluster has given up (its lease ran out while it was cut off) comes back with
/// what is connected to it, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_r5_a_node_given_up_by_the_cluster_registers_anew_in_a_new_life() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, _services) = Registry::open(config(&dir)).await.unwrap();
    let first = registry.join().await.unwrap();
    registry
        .register(registration("stays.example", 1))
        .await
        .unwrap();
    registry
        .register(registration("goes.example", 2))
        .await
        .unwrap();

    let expired = Batch::from(Command::NodeExpired {
        node: registry.node_id(),
        incarnation: first,
    });
    let deadline = Instant::now() + PATIENCE;
    registry.core.submit(&expired, deadline).await.unwrap();
    assert_eq!(registry.routes().list(), []);
    // Gone before the node notices: must not come back.
    registry.unregister(
        &Domain::prepare("goes.example").unwrap(),
        ConnectionId(2),
        false,
    );
    // The next registration finds out, and waits for the next life.
    registry
        .register(registration("new.example", 3))
        .await
        .unwrap();

    let mut alive = registry.incarnation();
    let reborn = |alive: &Option<Incarnation>| *alive > Some(first);
    let second = *timeout(PATIENCE, alive.wait_for(reborn))
        .await
        .unwrap()
        .unwrap();
    let mut held: Vec<_> = registry.routes().list();
    held.sort_by(|a, b| a.domain.cmp(&b.domain));
    let held: Vec<_> = held
        .iter()
        .map(|row| (row.domain.as_str(), Some(row.incarnation)))
        .collect();
    assert_eq!(held, [("new.example", second), ("stays.example", second)]);
    registry.leave().await;
}

/// A proposal that was given up for lost and arrives after all must not bring back what its
/// successor removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_r5_changes_that_arrive_late_have_no_effect() {
    use crate::command::{Changes, Name, RowChange};
    let dir = tempfile::tempdir().unwrap();
    let (registry, _services) = Registry::open(config(&dir)).await.unwrap();
    let incarnation = registry.join().await.unwrap();
    let domain = Domain::prepare("a.example").unwrap();
    registry
        .register(registration("a.example", 1))
        .await
        .unwrap();
    registry.unregister(&domain, ConnectionId(1), false);
    // Behind the unregistration, in order.
    registry
        .register(registration("b.example", 2))
        .await
        .unwrap();

    let late = Batch::from(Command::Changes(Changes {
        node: registry.node_id(),
        incarnation,
        sequence: 1,
        changes: vec![RowChange::Register {
            name: Name {
                domain,
                is_subdomain: false,
            },
            connection: ConnectionId(1),
            hidden: false,
            claim: Claim::Shared,
        }],
    }));
    let deadline = Instant::now() + PATIENCE;
    registry.core.submit(&late, deadline).await.unwrap();
    assert_eq!(registry.routes().lookup("a.example"), None);
    registry.leave().await;
}

/// A node that was cut off comes back, and another has a name meanwhile that only one may hold:
/// the table keeps its owner, and the component is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_r3_whoever_comes_back_does_not_take_an_exclusive_name_again() {
    use crate::command::{Changes, Name, RowChange};
    let dir = tempfile::tempdir().unwrap();
    let (registry, _services) = Registry::open(config(&dir)).await.unwrap();
    let first = registry.join().await.unwrap();
    let mut losses = registry.losses();
    let domain = Domain::prepare("a.example").unwrap();
    // Who has taken a name over once does not do so again.
    let taking = NewRegistration {
        claim: Claim::TakeOver,
        ..registration("a.example", 1)
    };
    registry.register(taking).await.unwrap();
    registry
        .register(registration("b.example", 2))
        .await
        .unwrap();

    let deadline = Instant::now() + PATIENCE;
    let other = NodeId(99);
    let joined = Batch::from(Command::NodeJoined {
        node: other,
        name: "other".to_owned(),
        address: "127.0.0.1:2".to_owned(),
        boot: 1,
    });
    let incarnation = registry.core.submit(&joined, deadline).await.unwrap();
    let expired = Command::NodeExpired {
        node: registry.node_id(),
        incarnation: first,
    };
    let taken = Command::Changes(Changes {
        node: other,
        incarnation: Incarnation(incarnation),
        sequence: 1,
        changes: vec![RowChange::Register {
            name: Name {
                domain: domain.clone(),
                is_subdomain: false,
            },
            connection: ConnectionId(7),
            hidden: false,
            claim: Claim::Exclusive,
        }],
    });
    // Apart, as they are when a lease runs out first.
    for command in [expired, taken] {
        let batch = Batch::from(command);
        registry.core.submit(&batch, deadline).await.unwrap();
    }
    // Whatever is proposed next finds out.
    registry
        .register(registration("c.example", 3))
        .await
        .unwrap();
    let loss = timeout(PATIENCE, losses.next()).await.unwrap().unwrap();
    assert_eq!(
        (loss.node, loss.connection),
        (registry.node_id(), ConnectionId(1))
    );
    assert!(!registry.holds(&domain, ConnectionId(1), false));
    let holders = registry.routes().lookup("a.example").unwrap();
    assert_eq!(holders.len(), 1);
    assert_eq!(holders[0].node, other);
    assert!(registry.routes().lookup("b.example").is_some());
    registry.leave().await;
}

#[tokio::test]
async fn a_panic_of_raft_is_its_end() {
    let (metrics, watched) = watch::channel(RaftMetrics::new_initial(1));
    drop(metrics);
    assert_eq!(end_of_raft(watched).await, Fatal::Panicked);

    let (metrics, watched) = watch::channel(RaftMetrics::new_initial(1));
    metrics.send_modify(|metrics| metrics.running_state = Err(Fatal::Stopped));
    drop(metrics);
    assert_eq!(end_of_raft(watched).await, Fatal::Stopped);
}
