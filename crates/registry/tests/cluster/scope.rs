//! Names that one node holds for the whole cluster (contract R3, S8), and registrations without
//! quorum (contract R6).

use std::time::Duration;

use switchyard_registry::{
    Claim, ConnectionId, Domain, NewRegistration, OnNoQuorum, ProposeError, Registry,
};
use tokio::time::timeout;
use tonic::service::RoutesBuilder;

use crate::fixture::{Node, Plan, eventually, registration, serve};

const PATIENCE: Duration = Duration::from_secs(30);

fn claimed(domain: &str, connection: u64, claim: Claim) -> NewRegistration {
    NewRegistration {
        claim,
        ..registration(domain, connection)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_r3_of_claims_on_several_nodes_at_once_exactly_one_wins() {
    let plan = Plan::new(3).await;
    let nodes = plan.start_all().await;
    for round in 0..20 {
        let domain = format!("race{round}.example");
        let claims = nodes.iter().zip(1..).map(|(node, connection)| {
            let new = claimed(&domain, connection, Claim::Exclusive);
            node.registry.register(new)
        });
        let outcomes = futures::future::join_all(claims).await;
        let winner = outcomes.iter().position(Result::is_ok).expect("a winner");
        for (index, (node, outcome)) in nodes.iter().zip(&outcomes).enumerate() {
            if index != winner {
                assert_eq!(*outcome, Err(ProposeError::Taken), "round {round}");
            }
            node.registry.confirm().await.unwrap();
            assert_eq!(node.holders(&domain), [nodes[winner].id()]);
        }
        // Nor does anybody else get in, who would share the name.
        let other = &nodes[(winner + 1) % 3];
        let shared = other.registry.register(registration(&domain, 9)).await;
        assert_eq!(shared, Err(ProposeError::Taken));
    }
    nodes[0].register("shared.example", 1).await;
    let exclusive = claimed("shared.example", 1, Claim::Exclusive);
    let refusal = nodes[1].registry.register(exclusive).await;
    assert_eq!(refusal, Err(ProposeError::Taken));
    nodes[1].register("shared.example", 2).await;
    Node::leave_all(nodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_s8_a_takeover_is_one_entry_and_whoever_lost_is_told() {
    let plan = Plan::new(3).await;
    let nodes = plan.start_all().await;
    let domain = Domain::prepare("a.example").unwrap();
    let mut losses: Vec<_> = nodes.iter().map(|node| node.registry.losses()).collect();
    // Two that share the name lose it together.
    nodes[0].register("a.example", 1).await;
    nodes[1].register("a.example", 1).await;
    let taking = claimed("a.example", 5, Claim::TakeOver);
    nodes[2].registry.register(taking).await.unwrap();
    for (node, losses) in nodes.iter().zip(&mut losses) {
        let first = timeout(PATIENCE, losses.next()).await.unwrap().unwrap();
        let second = timeout(PATIENCE, losses.next()).await.unwrap().unwrap();
        for (loss, loser) in [first, second].iter().zip(sorted(&nodes[..2])) {
            assert_eq!((loss.node, loss.connection), (loser, ConnectionId(1)));
            assert_eq!((&loss.domain, loss.by), (&domain, Some(nodes[2].id())));
        }
        assert_eq!(node.holders("a.example"), [nodes[2].id()]);
        let connection = ConnectionId(if node.id() == nodes[2].id() { 5 } else { 1 });
        let holds = node.registry.holds(&domain, connection, false);
        assert_eq!(holds, node.id() == nodes[2].id());
    }
    // The late end of an old connection removes nothing (contract R5).
    nodes[0]
        .registry
        .unregister(&domain, ConnectionId(1), false);
    nodes[0].register("behind.example", 2).await;
    assert_eq!(nodes[0].holders("a.example"), [nodes[2].id()]);
    Node::leave_all(nodes).await;
}

fn sorted(nodes: &[Node]) -> Vec<switchyard_registry::NodeId> {
    let mut ids: Vec<_> = nodes.iter().map(Node::id).collect();
    ids.sort();
    ids
}

/// From before there is a cluster, through the loss of quorum, to its return.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_r6_what_is_accepted_without_quorum_is_published_when_there_is_one() {
    let plan = Plan::new(3).await;
    let mut config = plan.config(0);
    config.on_no_quorum = OnNoQuorum::AcceptLocal;
    let address = config.advertise.parse().unwrap();
    let (first, services) = Registry::open(config).await.unwrap();
    let mut routes = RoutesBuilder::default();
    services.add_to(&mut routes);
    let server = serve(address, routes.routes()).await;
    let joining = first.clone();
    let joined = tokio::spawn(async move { joining.join().await });

    let early = claimed("early.example", 1, Claim::Exclusive);
    first.register(early).await.unwrap();
    assert_eq!(first.unpublished(), 1);
    let (second, third) = tokio::join!(plan.start(1), plan.start(2));
    timeout(PATIENCE, joined).await.unwrap().unwrap().unwrap();
    let me = first.node_id();
    eventually("the early one is published", async || {
        second.holders("early.example") == [me] && first.unpublished() == 0
    })
    .await;

    second.kill().await;
    third.kill().await;
    first
        .register(registration("late.example", 2))
        .await
        .unwrap();
    first
        .register(registration("gone.example", 3))
        .await
        .unwrap();
    let gone = Domain::prepare("gone.example").unwrap();
    first.unregister(&gone, ConnectionId(3), false);
    assert_eq!(first.routes().lookup("late.example"), None);
    let second = plan.start(1).await;
    eventually("the late one is published", async || {
        second.holders("late.example") == [me] && first.unpublished() == 0
    })
    .await;
    second.registry.confirm().await.unwrap();
    assert_eq!(second.holders("gone.example"), []);
    assert_eq!(second.holders("early.example"), [me]);
    second.leave().await;
    first.leave().await;
    server.stop().await;
}
