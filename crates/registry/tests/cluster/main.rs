//! Clusters of registries: formation, registration, failure and return.

// A failure in the fixture is a failed test.
#[allow(clippy::unwrap_used)]
mod fixture;

use fixture::{Plan, eventually};
use switchyard_registry::{ConnectionId, Domain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_r7_a_registration_on_any_node_is_seen_by_all_after_confirm() {
    let plan = Plan::new(3).await;
    let nodes = plan.start_all().await;
    for (node, domain) in nodes.iter().zip(["a.example", "b.example", "c.example"]) {
        node.register(domain, 1).await;
        assert_eq!(node.holders(domain), [node.id()], "read your write");
    }
    for reader in &nodes {
        reader.registry.confirm().await.unwrap();
        for (node, domain) in nodes.iter().zip(["a.example", "b.example", "c.example"]) {
            assert_eq!(reader.holders(domain), [node.id()]);
        }
    }
    for node in nodes {
        node.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_forms_at_once_and_comes_back() {
    let mut plan = Plan::new(1).await;
    // No election timeout may pass before a single node serves.
    plan.timings.election_min = std::time::Duration::from_secs(3600);
    plan.timings.election_max = std::time::Duration::from_secs(7200);
    let node = plan.start(0).await;
    node.register("a.example", 1).await;
    let first = node.incarnation;
    node.kill().await;
    let node = plan.start(0).await;
    assert!(node.incarnation > first);
    assert_eq!(node.holders("a.example"), []);
    node.register("a.example", 1).await;
    node.registry.unregister(
        &Domain::prepare("a.example").unwrap(),
        ConnectionId(1),
        false,
    );
    eventually("unregistered", async || {
        node.holders("a.example").is_empty()
    })
    .await;
    node.leave().await;
}
