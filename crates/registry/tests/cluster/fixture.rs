//! Registries in one process, over real loopback sockets and real files.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use switchyard_registry::{
    Claim, Config, ConnectionId, DEFAULT_VOTERS, Domain, Founder, Incarnation, JoinError,
    NewRegistration, NodeId, OnNoQuorum, Registry, Route, TcpDialer, Timings,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::{Routes, RoutesBuilder};
use tonic::transport::Server;

/// Longest wait for anything in a test.
const PATIENCE: Duration = Duration::from_secs(30);

/// The nodes of a cluster to be: their names, addresses and data directories.
pub(crate) struct Plan {
    pub(crate) founders: Vec<Founder>,
    pub(crate) timings: Timings,
    dir: TempDir,
}

/// A running node.
pub(crate) struct Node {
    pub(crate) registry: Registry,
    pub(crate) incarnation: Incarnation,
    server: PeerServer,
}

/// What a node serves to its peers.
pub(crate) struct PeerServer {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Plan {
    /// Founders `n1`, `n2`, … on free ports.
    pub(crate) async fn new(count: usize) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..count {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let founders = listeners.iter().zip(1..).map(|(listener, number)| Founder {
            name: format!("n{number}"),
            address: listener.local_addr().unwrap().to_string(),
        });
        Self {
            founders: founders.collect(),
            timings: Timings {
                lease: Duration::from_millis(4000),
                heartbeat: Duration::from_millis(100),
                election_min: Duration::from_millis(400),
                election_max: Duration::from_millis(800),
                ..Timings::default()
            },
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn config(&self, index: usize) -> Config {
        Config {
            cluster: "test".to_owned(),
            node: self.founders[index].name.clone(),
            advertise: self.founders[index].address.clone(),
            members: self.founders.clone(),
            seeds: None,
            voters: DEFAULT_VOTERS,
            data_dir: self.data_dir(index),
            timings: self.timings,
            dialer: Arc::new(TcpDialer),
            on_no_quorum: OnNoQuorum::Refuse,
        }
    }

    pub(crate) fn data_dir(&self, index: usize) -> PathBuf {
        self.dir.path().join(&self.founders[index].name)
    }

    pub(crate) async fn start(&self, index: usize) -> Node {
        start(self.config(index)).await.unwrap()
    }

    pub(crate) async fn start_all(&self) -> Vec<Node> {
        let all = (0..self.founders.len()).map(|index| self.start(index));
        futures::future::join_all(all).await
    }
}

pub(crate) async fn start(config: Config) -> Result<Node, JoinError> {
    let address = config.advertise.clone();
    start_at(&address, config).await
}

/// Starts a node that listens elsewhere than it says.
pub(crate) async fn start_at(address: &str, config: Config) -> Result<Node, JoinError> {
    let address: SocketAddr = address.parse().unwrap();
    let (registry, services) = Registry::open(config).await.unwrap();
    let mut routes = RoutesBuilder::default();
    services.add_to(&mut routes);
    let server = serve(address, routes.routes()).await;
    let joined = timeout(PATIENCE, registry.join())
        .await
        .expect("join in time");
    match joined {
        Ok(incarnation) => Ok(Node {
            registry,
            incarnation,
            server,
        }),
        Err(error) => {
            registry.shutdown().await;
            server.stop().await;
            Err(error)
        }
    }
}

pub(crate) async fn serve(address: SocketAddr, routes: Routes) -> PeerServer {
    let listener = TcpListener::bind(address).await.unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let server = Server::builder().tcp_nodelay(true).add_routes(routes);
    let task = tokio::spawn(async move {
        let incoming = TcpListenerStream::new(listener);
        server
            .serve_with_incoming_shutdown(incoming, stopped)
            .await
            .unwrap();
    });
    PeerServer { task, stop }
}

impl PeerServer {
    /// Stops to listen and closes the connections.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

impl Node {
    /// Ends without a word, as if the process had been killed.
    pub(crate) async fn kill(self) {
        self.registry.shutdown().await;
        self.server.stop().await;
    }

    pub(crate) async fn leave(self) {
        self.registry.leave().await;
        self.server.stop().await;
    }

    pub(crate) async fn register(&self, domain: &str, connection: u64) {
        let new = registration(domain, connection);
        self.registry.register(new).await.unwrap();
    }

    pub(crate) fn holders(&self, domain: &str) -> Vec<NodeId> {
        let routes = self.registry.routes().lookup(domain);
        let routes = routes.as_deref().unwrap_or_default();
        routes.iter().map(|route: &Route| route.node).collect()
    }

    pub(crate) fn id(&self) -> NodeId {
        self.registry.node_id()
    }

    pub(crate) async fn leave_all(nodes: Vec<Self>) {
        for node in nodes {
            node.leave().await;
        }
    }

    /// Which of `nodes` leads the others.
    pub(crate) async fn leader_of(nodes: &[Self]) -> usize {
        for _ in 0..1000 {
            for (index, node) in nodes.iter().enumerate() {
                let status = node.registry.status().await;
                if status.leader == Some(status.answered_by) {
                    return index;
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody leads");
    }
}

/// Starts a node that cannot go on; returns why.
pub(crate) async fn failure(config: Config) -> String {
    let address: SocketAddr = config.advertise.parse().unwrap();
    let (registry, services) = Registry::open(config).await.unwrap();
    let mut routes = RoutesBuilder::default();
    services.add_to(&mut routes);
    let server = serve(address, routes.routes()).await;
    let joining = tokio::spawn({
        let registry = registry.clone();
        async move { registry.join().await }
    });
    let reason = timeout(PATIENCE, registry.failed()).await;
    joining.abort();
    registry.shutdown().await;
    server.stop().await;
    reason.expect("an end in time")
}

/// Starts two founders; returns what the first has against the second.
pub(crate) async fn refused(first: Config, second: Config) -> String {
    let (second_registry, services) = Registry::open(second.clone()).await.unwrap();
    let mut routes = RoutesBuilder::default();
    services.add_to(&mut routes);
    let server = serve(second.advertise.parse().unwrap(), routes.routes()).await;
    let error = start(first).await.err().unwrap();
    second_registry.shutdown().await;
    server.stop().await;
    error.to_string()
}

pub(crate) fn registration(domain: &str, connection: u64) -> NewRegistration {
    NewRegistration {
        domain: Domain::prepare(domain).unwrap(),
        connection: ConnectionId(connection),
        is_subdomain: false,
        hidden: false,
        claim: Claim::Shared,
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) {
    let wait = async {
        while !condition().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("never happened: {what}"));
}
