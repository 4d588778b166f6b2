//! Who belongs to the cluster: nodes that join, are promoted, removed and replaced.

use std::fs;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use switchyard_registry::cluster_api::cluster_client::ClusterClient;
use switchyard_registry::cluster_api::{
    AddRequest, ChangeProgress, DrainRequest, PromoteRequest, RemoveRequest,
};
use switchyard_registry::{Config, Role, Timings};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::api::api;
use crate::fixture::{Node, Plan, eventually, failure, registration, start};

const PATIENCE: Duration = Duration::from_secs(30);

/// The configuration of node `index`: the first `founders` form the cluster, the others know the
/// first one alone.
fn config(plan: &Plan, founders: usize, index: usize) -> Config {
    let mut config = plan.config(index);
    config.members.truncate(founders);
    if index >= founders {
        config.members.clear();
        config.seeds = Some(vec![plan.founders[0].address.clone()]);
    }
    config
}

async fn start_one(plan: &Plan, founders: usize, index: usize) -> Node {
    start(config(plan, founders, index)).await.unwrap()
}

/// The names of the voters as `node` sees them, sorted.
async fn voters(node: &Node) -> Vec<String> {
    let status = node.registry.status().await;
    let voters = status.nodes.into_iter();
    let voters = voters.filter(|node| node.role != Role::Learner);
    voters.map(|node| node.name).collect()
}

async fn until_voters(node: &Node, expected: &[&str]) {
    eventually("voters", || async { voters(node).await == expected }).await;
}

/// Follows a change to its end.
async fn finish(
    answer: Result<tonic::Response<Streaming<ChangeProgress>>, Status>,
) -> Result<String, Status> {
    let mut steps = answer?.into_inner();
    while let Some(step) = steps.message().await? {
        if step.done {
            return Ok(step.message);
        }
    }
    panic!("the change ended before it was done");
}

async fn remove(cluster: &mut ClusterClient<Channel>, node: &str) -> Result<String, Status> {
    let node = node.to_owned();
    finish(cluster.remove(RemoveRequest { node }).await).await
}

async fn promote(cluster: &mut ClusterClient<Channel>, node: &str) -> Result<String, Status> {
    let node = node.to_owned();
    finish(cluster.promote(PromoteRequest { node }).await).await
}

async fn add(
    cluster: &mut ClusterClient<Channel>,
    node: &str,
    address: &str,
) -> Result<String, Status> {
    let request = AddRequest {
        node: node.to_owned(),
        address: address.to_owned(),
    };
    finish(cluster.add(request).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_seeds_join_and_vote_while_voters_are_few() {
    let plan = Plan::new(4).await;
    let first = start_one(&plan, 1, 0).await;
    let second = start_one(&plan, 1, 1).await;
    until_voters(&first, &["n1", "n2"]).await;
    let third = start_one(&plan, 1, 2).await;
    until_voters(&first, &["n1", "n2", "n3"]).await;
    let fourth = start_one(&plan, 1, 3).await;
    fourth.register("learner.example", 1).await;
    third.registry.confirm().await.unwrap();
    assert_eq!(third.holders("learner.example"), [fourth.id()]);

    // Any node answers; the leader itself may be the one that goes.
    let (channel, api) = api(&fourth).await;
    let mut cluster = ClusterClient::new(channel);
    let founder = first.id();
    assert_eq!(remove(&mut cluster, "n1").await.unwrap(), "n1 was removed");
    until_voters(&second, &["n2", "n3", "n4"]).await;
    let told = timeout(PATIENCE, first.registry.failed()).await.unwrap();
    assert!(told.contains("was removed from the cluster"), "{told}");
    first.kill().await;

    // Neither again nor by another name of it is it there, and its identity never comes back.
    let again = remove(&mut cluster, "n1").await.unwrap();
    assert_eq!(again, "n1 was removed before");
    remove(&mut cluster, &founder.to_string()).await.unwrap();
    let mut returning = config(&plan, 1, 0);
    returning.seeds = Some(vec![plan.founders[1].address.clone()]);
    returning.members.clear();
    let refusal = start(returning.clone()).await.err().unwrap().to_string();
    assert!(
        refusal.contains("was removed from the cluster"),
        "{refusal}"
    );
    fs::remove_dir_all(plan.data_dir(0)).unwrap();
    let wiped = start(returning).await.unwrap();
    assert_ne!(wiped.id(), founder);
    assert_eq!(voters(&second).await, ["n2", "n3", "n4"]);
    api.stop().await;
    Node::leave_all(vec![wiped, second, third, fourth]).await;
}

/// A learner never stands for election, so it believes in the last leader that it has heard from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_learner_is_told_that_it_was_removed_though_its_leader_is_gone() {
    let plan = Plan::new(4).await;
    let mut nodes = join_all((0..4).map(|index| start_one(&plan, 3, index))).await;
    let learner = nodes.pop().unwrap();
    learner.register("learner.example", 1).await;
    learner.kill().await;

    let leader = Node::leader_of(&nodes).await;
    let (channel, server) = api(&nodes[(leader + 1) % 3]).await;
    let mut cluster = ClusterClient::new(channel);
    remove(&mut cluster, "n4").await.unwrap();
    let name = &plan.founders[leader].name;
    remove(&mut cluster, name).await.unwrap();
    nodes.remove(leader).kill().await;

    let starting = timeout(PATIENCE, start(config(&plan, 3, 3)));
    let refusal = starting.await.unwrap().err().unwrap().to_string();
    assert!(
        refusal.contains("was removed from the cluster"),
        "{refusal}"
    );
    server.stop().await;
    Node::leave_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_voter_is_removed_whom_a_majority_needs() {
    let plan = Plan::new(3).await;
    let mut nodes = plan.start_all().await;
    let leader = Node::leader_of(&nodes).await;
    let dead = (leader + 1) % 3;
    let name = |index: usize| plan.founders[index].name.clone();
    let (channel, server) = api(&nodes[leader]).await;
    let mut cluster = ClusterClient::new(channel);
    let unknown = remove(&mut cluster, "n9").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    assert!(unknown.message().ends_with("n1, n2, n3"), "{unknown}");

    nodes.remove(dead).kill().await;
    let refusal = remove(&mut cluster, &name((leader + 2) % 3))
        .await
        .unwrap_err();
    assert_eq!(refusal.code(), Code::FailedPrecondition);
    let expected = format!("not alive: {}", name(dead));
    assert!(refusal.message().contains(&expected), "{refusal}");
    remove(&mut cluster, &name(dead)).await.unwrap();
    let left = remove(&mut cluster, &name((leader + 2) % 3)).await.unwrap();
    assert!(left.ends_with("was removed"), "{left}");
    let last = remove(&mut cluster, &name(leader)).await.unwrap_err();
    assert!(last.message().contains("the only voter"), "{last}");
    server.stop().await;
    for node in nodes {
        node.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_adds_promotes_and_drains_a_node() {
    let plan = Plan::new(2).await;
    let mut founder = config(&plan, 1, 0);
    founder.voters = 1;
    let first = start(founder).await.unwrap();
    let (channel, server) = api(&first).await;
    let mut cluster = ClusterClient::new(channel);
    let waiting = Config {
        seeds: Some(Vec::new()),
        ..config(&plan, 1, 1)
    };
    let address = waiting.advertise.clone();
    let nobody = add(&mut cluster, "n2", &address).await.unwrap_err();
    assert!(nobody.message().contains("no node answers"), "{nobody}");

    let joining = tokio::spawn(start(waiting));
    eventually("it listens", || async {
        let mut cluster = cluster.clone();
        let wrong = add(&mut cluster, "n3", &address).await.unwrap_err();
        wrong.message().ends_with("is node \"n2\", not \"n3\"")
    })
    .await;
    add(&mut cluster, "n2", &address).await.unwrap();
    let second = joining.await.unwrap().unwrap();
    let again = add(&mut cluster, "n2", &address).await.unwrap();
    assert_eq!(again, "n2 is a member already");

    assert_eq!(voters(&first).await, ["n1"]);
    promote(&mut cluster, "n2").await.unwrap();
    assert_eq!(voters(&first).await, ["n1", "n2"]);
    let again = promote(&mut cluster, "n2").await.unwrap();
    assert_eq!(again, "n2 is a voter already");

    second.register("a.example", 1).await;
    let drain = DrainRequest {
        node: "n2".to_owned(),
    };
    let mut steps = cluster.drain(drain.clone()).await.unwrap().into_inner();
    let step = steps.message().await.unwrap().unwrap();
    assert_eq!((step.remaining, step.done), (1, false));
    timeout(PATIENCE, second.registry.drained()).await.unwrap();
    second
        .registry
        .register(registration("b.example", 2))
        .await
        .unwrap_err();
    let new = registration("a.example", 1);
    second
        .registry
        .unregister(&new.domain, new.connection, new.is_subdomain);
    assert!(steps.message().await.unwrap().unwrap().done);
    finish(cluster.drain(drain).await).await.unwrap();
    eventually("the leader knows", || async {
        let status = first.registry.status().await;
        status
            .nodes
            .iter()
            .any(|node| node.name == "n2" && node.drained && node.alive)
    })
    .await;
    server.stop().await;
    Node::leave_all(vec![second, first]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_pointed_at_each_other_keep_apart() {
    let (ours, theirs) = (Plan::new(2).await, Plan::new(1).await);
    let own = start_one(&ours, 1, 0).await;
    let other = start_one(&theirs, 1, 0).await;

    let (channel, server) = api(&own).await;
    let mut cluster = ClusterClient::new(channel);
    let address = &theirs.founders[0].address;
    let refusal = add(&mut cluster, "n1", address).await.unwrap_err();
    let id = other.registry.cluster_id().unwrap().to_string();
    assert!(refusal.message().contains(&id), "{refusal}");

    let mut torn = config(&ours, 1, 1);
    torn.seeds.as_mut().unwrap().push(address.clone());
    let refusal = start(torn.clone()).await.err().unwrap().to_string();
    assert!(refusal.contains(&id), "{refusal}");
    torn.cluster = "another".to_owned();
    torn.data_dir.push("another");
    let refusal = start(torn).await.err().unwrap().to_string();
    assert!(refusal.contains("belongs to cluster \"test\""), "{refusal}");
    server.stop().await;
    Node::leave_all(vec![own, other]).await;
}

/// A name belongs to one node: a second that takes it by mistake is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_in_use_is_refused_in_words() {
    let plan = Plan::new(2).await;
    let first = start_one(&plan, 1, 0).await;
    let mut usurper = config(&plan, 1, 1);
    usurper.node = first.registry.status().await.answered_by;
    let refusal = start(usurper).await.err().unwrap().to_string();
    let expected = format!("in use by node {}", first.id());
    assert!(refusal.contains(&expected), "{refusal}");
    first.leave().await;
}

/// Thirty nodes, three of them voters, in one process: they form up, agree, and notice a death.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_nodes_hold_the_table() {
    const NODES: usize = 30;
    let mut plan = Plan::new(NODES).await;
    plan.timings = Timings {
        lease: Duration::from_secs(5),
        ..Timings::default()
    };
    let starting = (0..NODES).map(|index| start_one(&plan, 3, index));
    let mut nodes = join_all(starting).await;
    assert_eq!(voters(&nodes[NODES - 1]).await, ["n1", "n2", "n3"]);
    let registering = nodes.iter().enumerate().map(|(index, node)| async move {
        node.register(&format!("d{index}.example"), 1).await;
    });
    join_all(registering).await;
    for node in &nodes {
        node.registry.confirm().await.unwrap();
        assert_eq!(node.registry.routes().list().len(), NODES);
    }
    nodes.pop().unwrap().kill().await;
    for node in &nodes {
        eventually("the dead node's component is gone", || async {
            node.registry.routes().list().len() == NODES - 1
        })
        .await;
    }
    join_all(nodes.into_iter().map(Node::kill)).await;
}

// === data directories replaced by an older copy ===

/// Replaces what is in `to` by what is in `from`.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_has_lost_what_it_acknowledged_ends_and_the_others_go_on() {
    let plan = Plan::new(3).await;
    let mut nodes = plan.start_all().await;
    let leader = Node::leader_of(&nodes).await;
    let old = (leader + 1) % 3;
    let backup = plan.data_dir(old).with_extension("backup");
    nodes.remove(old).kill().await;
    copy(&plan.data_dir(old), &backup);

    let node = plan.start(old).await;
    nodes[0].register("later.example", 1).await;
    eventually("the row is there", || async {
        !node.holders("later.example").is_empty()
    })
    .await;
    node.kill().await;
    copy(&backup, &plan.data_dir(old));

    let reason = failure(plan.config(old)).await;
    assert!(reason.contains("older copy"), "{reason}");

    nodes[0].register("still.example", 2).await;
    fs::remove_dir_all(plan.data_dir(old)).unwrap();
    let node = plan.start(old).await;
    eventually("the new node has the table", || async {
        !node.holders("still.example").is_empty()
    })
    .await;
    nodes.push(node);
    Node::leave_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_cluster_has_lost_what_was_committed_ends() {
    let plan = Plan::new(3).await;
    let mut nodes = plan.start_all().await;
    nodes[0].register("first.example", 1).await;
    let backup = plan.data_dir(1).with_extension("backup");
    nodes.remove(2).kill().await;
    nodes.remove(1).kill().await;
    copy(&plan.data_dir(1), &backup);

    // The third misses what the first two commit, and the second forgets it.
    nodes.push(plan.start(1).await);
    for connection in 2..9 {
        nodes[0].register("second.example", connection).await;
    }
    for node in nodes {
        node.kill().await;
    }
    copy(&backup, &plan.data_dir(1));
    let (second, third) = futures::join!(plan.start(1), plan.start(2));
    let nodes = vec![second, third];
    nodes[1].register("third.example", 1).await;

    let reason = failure(plan.config(0)).await;
    assert!(reason.contains("another entry"), "{reason}");
    Node::leave_all(nodes).await;
}
