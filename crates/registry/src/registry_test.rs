//! What only the inside of a registry can bring about.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::command::{Batch, Command};
use crate::{Config, ConnectionId, Domain, Incarnation, NewRegistration, Registry, Timings};

const PATIENCE: Duration = Duration::from_secs(30);

fn config(dir: &tempfile::TempDir) -> Config {
    Config {
        cluster: "test".to_owned(),
        node: "n1".to_owned(),
        // Nobody calls: the cluster has one node.
        advertise: "127.0.0.1:1".to_owned(),
        members: Vec::new(),
        data_dir: dir.path().to_owned(),
        timings: Timings::default(),
    }
}

fn registration(domain: &str, connection: u64) -> NewRegistration {
    NewRegistration {
        domain: Domain::prepare(domain).unwrap(),
        connection: ConnectionId(connection),
        is_subdomain: false,
        hidden: false,
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
        }],
    }));
    let deadline = Instant::now() + PATIENCE;
    registry.core.submit(&late, deadline).await.unwrap();
    assert_eq!(registry.routes().lookup("a.example"), None);
    registry.leave().await;
}
