//! The gRPC API for operators and programs, over a socket.

use std::net::SocketAddr;

use switchyard_registry::cluster_api::cluster_client::ClusterClient;
use switchyard_registry::cluster_api::{StatusRequest, node};
use switchyard_registry::registry_api::registry_client::RegistryClient;
use switchyard_registry::registry_api::{ListRequest, LookupRequest, WatchRequest, change};
use switchyard_registry::{ConnectionId, Domain};
use tonic::Code;
use tonic::service::RoutesBuilder;
use tonic::transport::{Channel, Endpoint};

use crate::fixture::{Node, PeerServer, Plan, serve};

/// Serves the API of `node`, and connects to it.
pub(crate) async fn api(node: &Node) -> (Channel, PeerServer) {
    let address: SocketAddr = Plan::new(1).await.founders[0].address.parse().unwrap();
    let mut routes = RoutesBuilder::default();
    node.registry.api_services().add_to(&mut routes);
    let server = serve(address, routes.routes()).await;
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    (endpoint.connect().await.unwrap(), server)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_a1_any_node_answers_for_the_cluster() {
    let plan = Plan::new(3).await;
    let nodes = plan.start_all().await;
    let (channel, server) = api(&nodes[2]).await;
    let mut registry = RegistryClient::new(channel.clone());
    nodes[0].register("bücher.example", 5).await;

    let lookup = |linearizable| LookupRequest {
        domain: "xn--bcher-kva.example.".to_owned(),
        linearizable,
    };
    let answer = registry.lookup(lookup(true)).await.unwrap().into_inner();
    assert_eq!(answer.components.len(), 1);
    let component = &answer.components[0];
    assert_eq!(component.domain, "bücher.example");
    assert_eq!(component.node, "n1");
    assert_eq!(component.node_id, nodes[0].id().0);
    assert_eq!(component.incarnation, nodes[0].incarnation.0);
    assert_eq!(component.connection, 5);
    assert!(answer.revision > component.incarnation);

    let list = registry.list(ListRequest::default()).await.unwrap();
    assert_eq!(list.into_inner().components, answer.components);
    let nonsense = LookupRequest {
        domain: "a..b".to_owned(),
        linearizable: false,
    };
    let refusal = registry.lookup(nonsense).await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidArgument);

    let watch = WatchRequest { from_revision: 0 };
    let mut watch = registry.watch(watch).await.unwrap().into_inner();
    let first = watch.message().await.unwrap().unwrap();
    assert!(first.snapshot_end);
    assert_eq!(first.changes[0].component, Some(component.clone()));
    let domain = Domain::prepare("bücher.example").unwrap();
    nodes[0]
        .registry
        .unregister(&domain, ConnectionId(5), false);
    let second = watch.message().await.unwrap().unwrap();
    assert!(second.revision > first.revision);
    assert_eq!(second.changes[0].kind(), change::Kind::Removed);
    assert_eq!(second.changes[0].component, Some(component.clone()));
    drop((watch, registry));

    let mut cluster = ClusterClient::new(channel);
    let status = cluster.status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.cluster, "test");
    assert_eq!(status.answered_by, "n3");
    let leader = Node::leader_of(&nodes).await;
    assert_eq!(status.leader, plan.founders[leader].name);
    for (index, (of_node, node)) in status.nodes.iter().zip(&nodes).enumerate() {
        assert_eq!(of_node.node, plan.founders[index].name);
        assert_eq!(of_node.address, plan.founders[index].address);
        assert_eq!(of_node.id, node.id().0);
        assert_eq!(of_node.incarnation, node.incarnation.0);
        assert!(of_node.alive && of_node.applied > 0);
        let leads = of_node.role() == node::Role::Leader;
        assert_eq!(leads, index == leader);
    }
    drop(cluster);
    server.stop().await;
    Node::leave_all(nodes).await;
}
