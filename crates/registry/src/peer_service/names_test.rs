use std::sync::Arc;

use tonic::{Code, Request};

use super::*;
use crate::pb::peer::membership_server::Membership as _;
use crate::pb::peer::raft_server::Raft as _;
use crate::{Caller, Config, OnNoQuorum, Registry, TcpDialer, Timings};

/// `message` as it comes from whoever has shown a certificate with this name.
fn from<T>(name: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller {
        address: None,
        names: Some([name.to_owned()].into()),
    });
    request
}

/// Node n1 of the cluster is known; requests come with its certificate and with that of n2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_a2_nobody_speaks_as_a_node_with_the_certificate_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        cluster: "test".to_owned(),
        node: "n1".to_owned(),
        advertise: "127.0.0.1:1".to_owned(),
        members: Vec::new(),
        seeds: None,
        voters: crate::DEFAULT_VOTERS,
        data_dir: dir.path().to_owned(),
        timings: Timings::default(),
        dialer: Arc::new(TcpDialer),
        on_no_quorum: OnNoQuorum::Refuse,
    };
    let (registry, services) = Registry::open(config).await.unwrap();
    registry.join().await.unwrap();
    let id = registry.node_id().0;
    let peers = &services.membership;
    let header = registry.core.identity.header(id);

    let hello = || formation::hello(&registry.core);
    peers.hello(from("n1", hello())).await.unwrap();
    peers.hello(from("N1", hello())).await.unwrap();
    let refused = peers.hello(from("n2", hello())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let expected = "the certificate is that of n2, and may not speak as n1";
    assert_eq!(refused.message(), expected);
    // In plain text nobody proves anything.
    peers.hello(Request::new(hello())).await.unwrap();

    let read = || pb::ReadIndexRequest {
        header: Some(header),
    };
    peers.read_index(from("n1", read())).await.unwrap();
    let refused = peers.read_index(from("n2", read())).await.unwrap_err();
    assert_eq!(refused.message(), expected);
    let renew = || pb::RenewRequest {
        header: Some(header),
        ..pb::RenewRequest::default()
    };
    let refused = peers.renew(from("n2", renew())).await.unwrap_err();
    assert_eq!(refused.message(), expected);
    let drain = pb::DrainRequest {
        header: Some(header),
    };
    let refused = peers.drain(from("n2", drain)).await.unwrap_err();
    assert_eq!(refused.message(), expected);

    // An identity that is another's, a name that is: both are in a request to join.
    let join = |id, name: &str| pb::JoinRequest {
        cluster: "test".to_owned(),
        node: Some(pb::Member {
            id,
            name: name.to_owned(),
            address: "127.0.0.1:2".to_owned(),
        }),
        to: header.to,
    };
    for request in [join(id, "n2"), join(77, "n1")] {
        let refused = peers.join(from("n2", request)).await.unwrap_err();
        assert_eq!(refused.message(), expected);
    }

    let vote = |candidate| pb::VoteRequest {
        header: Some(header),
        vote: Some(pb::Vote {
            term: 1,
            candidate,
            committed: false,
        }),
        last_log_id: None,
    };
    let refused = services.raft.vote(from("n2", vote(id))).await.unwrap_err();
    assert_eq!(refused.message(), expected);
    let refused = services.raft.vote(from("n1", vote(77))).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "a vote for another");
    services.raft.vote(from("n1", vote(id))).await.unwrap();
    registry.leave().await;
}
