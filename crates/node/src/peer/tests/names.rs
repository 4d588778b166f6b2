//! Links of peers that have certificates.

use std::sync::Arc;

use switchyard_registry::{
    Caller, Config, DEFAULT_VOTERS, NodeId, OnNoQuorum, Registry, TcpDialer, Timings,
};
use tonic::Code;

use super::super::PeersConfig;
use super::super::proto::{Hello, Sender};
use super::super::server::check_names;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_a2_a_link_is_of_the_node_that_the_certificate_names() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = Config {
        cluster: "c".to_owned(),
        node: "node1".to_owned(),
        advertise: "127.0.0.1:1".to_owned(),
        members: Vec::new(),
        seeds: None,
        voters: DEFAULT_VOTERS,
        data_dir: dir.path().to_owned(),
        timings: Timings::default(),
        dialer: Arc::new(TcpDialer),
        on_no_quorum: OnNoQuorum::Refuse,
    };
    let (registry, _services) = Registry::open(config).await.expect("a registry");
    registry.join().await.expect("a cluster of one");
    let known = registry.node_id();
    let config = PeersConfig {
        names: Some(registry.name_check()),
        ..PeersConfig::new("c".to_owned(), known, "node1".to_owned())
    };
    let check = |certificate: Option<&str>, id: NodeId, name: &str| {
        let caller = Caller {
            address: None,
            names: certificate.map(|name| [name.to_owned()].into()),
        };
        let sender = Sender {
            id: id.0,
            name: name.to_owned(),
            ..Sender::default()
        };
        let hello = Hello {
            sender: Some(sender),
            ..Hello::default()
        };
        check_names(&config, &caller, &hello).map_err(|status| status.code())
    };
    let refused = Err(Code::PermissionDenied);
    assert_eq!(check(Some("node1"), known, "node1"), Ok(()));
    assert_eq!(check(Some("node2"), known, "node1"), refused, "its name");
    assert_eq!(
        check(Some("node2"), known, "node2"),
        refused,
        "its identity"
    );
    assert_eq!(check(None, known, "node1"), Ok(()), "in plain text");
    registry.leave().await;
}
