//! Clusters of registries: formation, registration, failure and return.

// A failure in what the tests share is a failed test.
#[allow(clippy::unwrap_used)]
mod api;
#[allow(clippy::unwrap_used)]
mod fixture;
#[allow(clippy::unwrap_used)]
mod members;
#[allow(clippy::unwrap_used)]
mod scope;

use std::fs;
use std::time::Duration;

use fixture::{Node, Plan, eventually, refused, registration, start, start_at};
use switchyard_registry::{
    Config, ConnectionId, Domain, NewRegistration, NoQuorum, OpenError, ProposeError, Registry,
    Role,
};
use tokio::time::timeout;

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
    // Followers learn last what is committed.
    for round in 0..60 {
        let (writer, reader) = (&nodes[round % 3], &nodes[(round + 1) % 3]);
        let domain = format!("d{round}.example");
        writer.register(&domain, 1).await;
        reader.registry.confirm().await.unwrap();
        assert_eq!(reader.holders(&domain), [writer.id()]);
    }
    Node::leave_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_r2_r5_several_nodes_hold_a_domain_and_give_it_up_one_by_one() {
    let plan = Plan::new(3).await;
    let mut nodes = plan.start_all().await;
    for node in &nodes {
        node.register("shared.example", 7).await;
    }
    let domain = Domain::prepare("shared.example").unwrap();
    // A newer connection takes over; the end of the older one must not remove it.
    nodes[0].register("shared.example", 8).await;
    nodes[0]
        .registry
        .unregister(&domain, ConnectionId(7), false);
    nodes[1]
        .registry
        .unregister(&domain, ConnectionId(7), false);
    let late = nodes[0]
        .registry
        .register(registration("shared.example", 7))
        .await;
    assert_eq!(late, Err(ProposeError::Superseded));
    let left = [nodes[0].id(), nodes[2].id()];
    eventually("two holders left", async || {
        nodes[2].registry.confirm().await.unwrap();
        nodes[2].holders("shared.example").len() == 2
    })
    .await;
    for id in left {
        assert!(nodes[2].holders("shared.example").contains(&id));
    }
    // Leaving removes the rest of a node's registrations at once.
    let leaver = nodes.swap_remove(0);
    leaver.leave().await;
    eventually("the leaver's registration is gone", async || {
        nodes[0].holders("shared.example").len() == 1
    })
    .await;
    Node::leave_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_r5_a_restarted_leader_is_a_new_incarnation_without_registrations() {
    let plan = Plan::new(3).await;
    let mut nodes = plan.start_all().await;
    for node in &nodes {
        node.register(&format!("{}.example", node.id()), 1).await;
    }
    let leader = Node::leader_of(&nodes).await;
    let killed = nodes.remove(leader);
    let (id, incarnation) = (killed.id(), killed.incarnation);
    let domain = format!("{id}.example");
    killed.kill().await;
    // Registrations are accepted again as soon as there is another leader.
    eventually("another leader", async || {
        let new = registration("after.example", 2);
        nodes[0].registry.register(new).await.is_ok()
    })
    .await;
    let back = plan.start(leader).await;
    assert_eq!(back.id(), id);
    assert!(back.incarnation > incarnation);
    back.registry.confirm().await.unwrap();
    assert_eq!(back.holders(&domain), []);
    assert_eq!(back.registry.routes().list().len(), 3);
    nodes.push(back);
    Node::leave_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_r5_a_dead_node_loses_its_registrations_after_its_lease() {
    let plan = Plan::new(3).await;
    let mut nodes = plan.start_all().await;
    let leader = Node::leader_of(&nodes).await;
    let dead = nodes.remove((leader + 1) % 3);
    dead.register("dead.example", 1).await;
    nodes[0].register("alive.example", 1).await;
    nodes[0].registry.confirm().await.unwrap();
    assert_eq!(nodes[0].holders("dead.example"), [dead.id()]);
    dead.kill().await;
    for node in &nodes {
        eventually("expired", async || node.holders("dead.example").is_empty()).await;
        assert_eq!(node.holders("alive.example"), [nodes[0].id()]);
        assert_eq!(
            *node.registry.incarnation().borrow(),
            Some(node.incarnation)
        );
    }
    Node::leave_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_r6_without_quorum_registrations_are_refused_and_local_routes_stay() {
    let plan = Plan::new(3).await;
    let mut nodes = plan.start_all().await;
    nodes[0].register("a.example", 1).await;
    let (third, second) = (nodes.remove(2), nodes.remove(1));
    let first = nodes.remove(0);
    second.kill().await;
    third.kill().await;
    let refusal = first.registry.register(registration("b.example", 2)).await;
    assert_eq!(refusal, Err(ProposeError::NoQuorum));
    assert_eq!(first.registry.confirm().await, Err(NoQuorum));
    assert_eq!(first.holders("a.example"), [first.id()]);
    let status = first.registry.status().await;
    assert_eq!(status.leader, None);
    for node in status.nodes {
        assert_ne!(node.role, Role::Leader);
        assert!(!node.alive || node.id == first.id(), "{node:?}");
    }
    // It knows that its lease has run out before anybody else acts on it.
    let mut alive = first.registry.incarnation();
    let lost = alive.wait_for(Option::is_none);
    timeout(Duration::from_secs(30), lost)
        .await
        .unwrap()
        .unwrap();
    assert!(!first.registry.lease_runs());

    let second = plan.start(1).await;
    eventually("quorum is back", async || {
        first
            .registry
            .register(registration("b.example", 2))
            .await
            .is_ok()
    })
    .await;
    second.registry.confirm().await.unwrap();
    assert_eq!(second.holders("a.example"), [first.id()]);
    assert_eq!(second.holders("b.example"), [first.id()]);
    let alive = alive.wait_for(Option::is_some);
    timeout(Duration::from_secs(30), alive)
        .await
        .unwrap()
        .unwrap();
    Node::leave_all(vec![first, second]).await;
}

/// More than one log entry holds: what cannot be undone yet must not be in the way of who asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_r6_many_that_went_without_quorum_hold_nobody_up() {
    const GONE: u64 = 1500;
    let plan = Plan::new(3).await;
    let mut nodes = plan.start_all().await;
    let names: Vec<String> = (0..GONE).map(|n| format!("c{n}.example")).collect();
    let registering = names.iter().zip(1..);
    futures::future::join_all(registering.map(|(name, number)| nodes[0].register(name, number)))
        .await;
    let (third, second) = (nodes.remove(2), nodes.remove(1));
    let first = nodes.remove(0);
    second.kill().await;
    third.kill().await;
    for (name, number) in names.iter().zip(1..) {
        let gone = registration(name, number);
        first
            .registry
            .unregister(&gone.domain, gone.connection, false);
    }
    for number in GONE + 1..GONE + 4 {
        let new = first.registry.register(registration("new.example", number));
        let refusal = timeout(Duration::from_secs(30), new).await.unwrap();
        assert_eq!(refusal, Err(ProposeError::NoQuorum));
    }

    let second = plan.start(1).await;
    eventually("quorum is back", async || {
        let new = registration("new.example", GONE + 9);
        first.registry.register(new).await.is_ok()
    })
    .await;
    eventually("who went is gone", async || {
        second.registry.routes().list().len() == 1
    })
    .await;
    assert_eq!(second.holders("new.example"), [first.id()]);
    Node::leave_all(vec![first, second]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_forms_at_once_and_comes_back() {
    let mut plan = Plan::new(1).await;
    // No election timeout may pass before a single node serves.
    plan.timings.election_min = Duration::from_secs(3600);
    plan.timings.election_max = Duration::from_secs(7200);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_killed_as_a_whole_comes_back() {
    let plan = Plan::new(3).await;
    let nodes = plan.start_all().await;
    let cluster = nodes[0].registry.cluster_id();
    let ids: Vec<_> = nodes.iter().map(Node::id).collect();
    let last = nodes.iter().map(|node| node.incarnation).max();
    nodes[1].register("a.example", 1).await;
    for node in nodes {
        node.kill().await;
    }
    let nodes = plan.start_all().await;
    assert_eq!(nodes.iter().map(Node::id).collect::<Vec<_>>(), ids);
    for node in &nodes {
        assert_eq!(node.registry.cluster_id(), cluster);
        assert!(Some(node.incarnation) > last);
        node.registry.confirm().await.unwrap();
        assert_eq!(node.holders("a.example"), []);
    }
    Node::leave_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founder_that_lost_its_data_comes_back_as_another_identity() {
    let plan = Plan::new(3).await;
    let mut nodes = plan.start_all().await;
    // The first founder: without its data it must not form a second cluster.
    let wiped = nodes.remove(0);
    let (old, cluster) = (wiped.id(), wiped.registry.cluster_id());
    wiped.register("a.example", 1).await;
    wiped.kill().await;
    fs::remove_dir_all(plan.data_dir(0)).unwrap();

    let back = plan.start(0).await;
    assert_ne!(back.id(), old);
    assert_eq!(back.registry.cluster_id(), cluster);
    back.registry.confirm().await.unwrap();
    assert_eq!(back.holders("a.example"), []);
    let status = back.registry.status().await;
    let members: Vec<_> = status.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(members, ["n1", "n2", "n3"]);
    assert!(
        status
            .nodes
            .iter()
            .all(|node| node.id != old && node.role != Role::Learner)
    );
    // It counts as a voter: with it and one other there is a quorum.
    nodes.pop().unwrap().kill().await;
    nodes.push(back);
    eventually("quorum of two", async || {
        let new = registration("b.example", 2);
        nodes[0].registry.register(new).await.is_ok()
    })
    .await;
    Node::leave_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_late_gets_the_table_as_a_snapshot() {
    let mut plan = Plan::new(2).await;
    plan.timings.snapshot_entries = 20;
    let late = plan.founders.pop().unwrap();
    // The late one stays a learner: as a voter it could not be killed.
    let alone = Config {
        voters: 1,
        ..plan.config(0)
    };
    let first = start(alone.clone()).await.unwrap();
    for connection in 1..200 {
        first
            .register(&format!("d{}.example", connection % 50), connection)
            .await;
    }
    let config = Config {
        node: late.name.clone(),
        advertise: late.address,
        data_dir: plan.data_dir(0).with_file_name("late"),
        ..alone
    };
    let data_dir = config.data_dir.clone();
    let second = start(config.clone()).await.unwrap();
    assert_eq!(second.registry.routes().list().len(), 50);
    assert!(data_dir.join("snapshot").exists());
    let status = second.registry.status().await;
    let roles: Vec<_> = status.nodes.iter().map(|node| node.role).collect();
    assert_eq!(roles, [Role::Leader, Role::Learner]);
    // From its snapshot, its log and the leader's entries it is the same again.
    second.kill().await;
    first.register("more.example", 1000).await;
    let second = start(config).await.unwrap();
    assert_eq!(second.registry.routes().list().len(), 51);
    Node::leave_all(vec![second, first]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_moved_makes_its_new_address_known() {
    let mut plan = Plan::new(3).await;
    let mut nodes = plan.start_all().await;
    let mover = (Node::leader_of(&nodes).await + 1) % 3;
    nodes.remove(mover).kill().await;
    let address = Plan::new(1).await.founders[0].address.clone();
    plan.founders[mover].address.clone_from(&address);
    let moved = plan.start(mover).await;
    nodes[0].register("a.example", 1).await;
    eventually("the log reaches the new address", async || {
        moved.holders("a.example") == [nodes[0].id()]
    })
    .await;
    let status = nodes[0].registry.status().await;
    assert!(status.nodes.iter().any(|node| node.address == address));
    nodes.push(moved);
    Node::leave_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_says_it_is_where_another_one_answers_is_refused() {
    let plan = Plan::new(3).await;
    let mut nodes = plan.start_all().await;
    let mover = (Node::leader_of(&nodes).await + 1) % 3;
    nodes.remove(mover).kill().await;
    let stranger = Plan::new(1).await;
    let other = stranger.start(0).await;
    let own = plan.config(mover);
    let wrong = Config {
        advertise: stranger.founders[0].address.clone(),
        ..own.clone()
    };
    // It listens where it did: what it says of itself is wrong.
    let refusal = start_at(&own.advertise, wrong).await.err().unwrap();
    let refusal = refusal.to_string();
    assert!(refusal.contains("cluster.advertise is "), "{refusal}");
    let status = nodes[0].registry.status().await;
    let known = status
        .nodes
        .iter()
        .any(|node| node.address == own.advertise);
    assert!(known, "{status:?}");
    nodes.push(plan.start(mover).await);
    Node::leave_all(nodes).await;
    Node::leave_all(vec![other]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn founders_that_disagree_say_so() {
    let plan = Plan::new(2).await;
    let first = plan.config(0);
    let mut second = plan.config(1);
    second.members.swap(0, 1);
    second.members[0].address = "127.0.0.1:1".to_owned();
    assert_eq!(
        refused(first.clone(), second).await,
        format!(
            "{} has another list of cluster.members: n1={}, n2=127.0.0.1:1; here: n1={1}, n2={0}",
            plan.founders[1].address, plan.founders[0].address,
        )
    );
    let plan = Plan::new(2).await;
    let other_cluster = Config {
        cluster: "other".to_owned(),
        ..plan.config(1)
    };
    assert_eq!(
        refused(plan.config(0), other_cluster).await,
        format!(
            "{} belongs to cluster \"other\", not \"test\"",
            plan.founders[1].address
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_that_is_not_this_nodes_is_refused_in_one_line() {
    let plan = Plan::new(1).await;
    let config = plan.config(0);
    let dir = config.data_dir.display().to_string();
    let node = plan.start(0).await;
    let refusal = async |config: Config| {
        let error = Registry::open(config).await.err().unwrap().to_string();
        assert_eq!(error.lines().count(), 1);
        error
    };
    assert_eq!(
        refusal(config.clone()).await,
        format!("the data directory {dir} is in use by another process")
    );
    node.kill().await;
    let before = fs::read(config.data_dir.join("registry.redb")).unwrap();
    let other = Config {
        cluster: "other".to_owned(),
        ..config.clone()
    };
    assert_eq!(
        refusal(other).await,
        format!("the data directory {dir} belongs to cluster \"test\", not \"other\"")
    );
    let other = Config {
        node: "n9".to_owned(),
        ..config.clone()
    };
    assert_eq!(
        refusal(other).await,
        format!("the data directory {dir} belongs to node \"n1\", not \"n9\"")
    );
    assert_eq!(
        fs::read(config.data_dir.join("registry.redb")).unwrap(),
        before
    );

    fs::write(
        config.data_dir.join("registry.redb"),
        &before[..before.len() / 2],
    )
    .unwrap();
    let error = Registry::open(config.clone()).await.err().unwrap();
    assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
    fs::write(config.data_dir.join("registry.redb"), before).unwrap();
    fs::remove_file(config.data_dir.join("identity")).unwrap();
    let error = Registry::open(config).await.err().unwrap();
    assert!(matches!(error, OpenError::Corrupted { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_registrations_at_once_share_log_entries() {
    let plan = Plan::new(1).await;
    let node = plan.start(0).await;
    let before = node.registry.status().await.revision;
    let all = (0..2000).map(|number| {
        let registry = node.registry.clone();
        async move {
            let new = NewRegistration {
                is_subdomain: number % 2 == 0,
                ..registration(&format!("d{}", number / 2), number)
            };
            registry.register(new).await.unwrap();
        }
    });
    futures::future::join_all(all).await;
    assert_eq!(node.registry.routes().list().len(), 2000);
    assert!(node.registry.routes().lookup_prefix("d7").is_some());
    let entries = node.registry.status().await.revision - before;
    assert!(entries < 100, "{entries} entries");
    node.leave().await;
}
