//! A node as its peers see it: links, and a server for theirs on a loopback port.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use switchyard_listener::{Delivery, Receipt};
use switchyard_registry::{Domain, Incarnation, NodeId};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use super::super::{
    Destination, Life, Link, LocalDelivery, Outcome, Parcel, Peer, Peers, PeersConfig,
    ReturnReason, Returns, SendError, tune,
};

/// Far longer than anything here takes; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// One of a few destinations.
pub(super) fn destination(n: u8) -> Destination {
    Destination {
        name: Domain::prepare(&format!("d{n}.example")).expect("a domain"),
        is_subdomain: n % 2 == 1,
    }
}

/// The length of a stanza that is not the last of its parcel.
pub(super) const STANZA: usize = 8;

/// A parcel that carries its number, and is so many bytes long.
pub(super) fn parcel(to: Destination, id: u64, bytes: usize) -> Parcel {
    parcel_of(to, id, bytes, 1)
}

/// A parcel of `count` stanzas, each of which begins with its number.
pub(super) fn parcel_of(to: Destination, id: u64, bytes: usize, count: u32) -> Parcel {
    let mut stanzas = id.to_be_bytes().repeat(count as usize);
    stanzas.resize(bytes.max(stanzas.len()), b'x');
    let delivery = Delivery {
        bytes: Bytes::from(stanzas),
        count,
        origin: None,
        receipt: None,
    };
    Parcel {
        to,
        delivery,
        attempts: 1,
        node: NodeId(0),
    }
}

/// The number that a parcel carries.
pub(super) fn id(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(
        *bytes
            .first_chunk()
            .expect("parcels start with their number"),
    )
}

/// The life of the cluster's node `node`.
pub(super) fn life(incarnation: u64) -> Life {
    Life {
        cluster_id: "id".to_owned(),
        incarnation: Incarnation(incarnation),
    }
}

/// Records what arrives and what comes back.
#[derive(Debug)]
pub(super) struct Ledger {
    seen: watch::Sender<Seen>,
    /// What happens to parcels for a destination; `Accepted` if not said.
    outcomes: Mutex<HashMap<Destination, watch::Sender<Outcome>>>,
    /// Receipts of what is not written yet; `None`: everything is written at once.
    unwritten: Mutex<Option<Vec<Receipt>>>,
    /// The present life of the node, if its lease runs.
    alive: Mutex<Option<Incarnation>>,
}

/// What a node has seen so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    /// Numbers of parcels delivered on this node, in order.
    pub(super) delivered: Vec<u64>,
    /// Numbers of parcels that came back to this node, in order.
    pub(super) returned: Vec<(u64, ReturnReason)>,
    /// How many stanzas there were in them.
    pub(super) returned_stanzas: u32,
}

impl Ledger {
    pub(super) fn decide(&self, to: Destination, outcome: Outcome) {
        let mut outcomes = self.outcomes.lock();
        let entry = outcomes.entry(to);
        entry
            .or_insert_with(|| watch::Sender::new(outcome))
            .send_replace(outcome);
    }

    /// From now on components do not read.
    pub(super) fn stop_writing(&self) {
        *self.unwritten.lock() = Some(Vec::new());
    }

    /// Takes the receipts of what has not been written, in the order of arrival.
    pub(super) fn take_unwritten(&self) -> Vec<Receipt> {
        let mut unwritten = self.unwritten.lock();
        unwritten.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The lease of the node runs in that life, or in none.
    pub(super) fn set_alive(&self, life: Option<Incarnation>) {
        *self.alive.lock() = life;
    }
}

impl LocalDelivery for Ledger {
    fn deliver(&self, to: &Destination, mut delivery: Delivery) -> Outcome {
        let outcomes = self.outcomes.lock();
        let outcome = outcomes.get(to).map_or(Outcome::Accepted, |o| *o.borrow());
        drop(outcomes);
        if matches!(outcome, Outcome::Accepted | Outcome::Congested) {
            let receipt = delivery.receipt.take().expect("parcels have receipts");
            match &mut *self.unwritten.lock() {
                Some(unwritten) => unwritten.push(receipt),
                None => receipt.written(),
            }
            self.seen
                .send_modify(|seen| seen.delivered.push(id(&delivery.bytes)));
        } else {
            delivery.refuse();
        }
        outcome
    }

    fn is_alive(&self, life: Incarnation) -> bool {
        *self.alive.lock() == Some(life)
    }

    fn relieved(&self, to: &Destination) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let outcome = self.outcomes.lock().get(to).map(watch::Sender::subscribe);
        Box::pin(async move {
            if let Some(mut outcome) = outcome {
                let relieved = outcome.wait_for(|outcome| *outcome == Outcome::Accepted);
                relieved.await.expect("the ledger outlives its peers");
            }
        })
    }
}

impl Returns for Ledger {
    fn returned(&self, parcels: Vec<Parcel>, reason: ReturnReason) {
        let ids = parcels.iter().map(|parcel| id(&parcel.delivery.bytes));
        let stanzas = parcels.iter().map(|parcel| parcel.delivery.count);
        self.seen.send_modify(|seen| {
            seen.returned.extend(ids.map(|id| (id, reason)));
            seen.returned_stanzas += stanzas.sum::<u32>();
        });
    }
}

/// A node as its peers see it.
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) peers: Peers,
    pub(super) ledger: Arc<Ledger>,
    pub(super) address: SocketAddr,
    server: JoinHandle<()>,
}

impl Node {
    /// Node `id` in incarnation 10 × `id`, with settings changed by `tune_config`.
    pub(super) async fn start(id: u64, tune_config: impl FnOnce(&mut PeersConfig)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::start_on(id, listener, tune_config)
    }

    pub(super) fn start_on(
        id: u64,
        listener: TcpListener,
        tune_config: impl FnOnce(&mut PeersConfig),
    ) -> Self {
        let mut config = PeersConfig::new("c".to_owned(), NodeId(id), format!("node{id}"));
        config.timings.backoff_min = Duration::from_millis(2);
        config.timings.backoff_max = Duration::from_millis(20);
        config.timings.refused = Duration::from_millis(20);
        // No test should depend on it but those that say so.
        config.timings.grace = PATIENCE * 2;
        tune_config(&mut config);
        let ledger = Arc::new(Ledger {
            seen: watch::Sender::default(),
            outcomes: Mutex::default(),
            unwritten: Mutex::default(),
            alive: Mutex::new(Some(Incarnation(id * 10))),
        });
        let timings = config.timings;
        let local = Arc::clone(&ledger);
        let returns = Arc::clone(&ledger);
        let peers = Peers::new(config, local, returns).expect("random numbers");
        peers.set_life(Some(life(id * 10)));
        let address = listener.local_addr().expect("it is bound");
        let service = peers.service();
        let server = tokio::spawn(async move {
            tune(Server::builder(), &timings)
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .expect("the server serves");
        });
        Self {
            id: NodeId(id),
            peers,
            ledger,
            address,
            server,
        }
    }

    /// Opens a link to a life of `other`, which is reached at `address`.
    pub(super) fn join(&self, other: NodeId, incarnation: u64, address: SocketAddr) -> Arc<Link> {
        let incarnation = Incarnation(incarnation);
        let peer = Peer {
            node: other,
            incarnation,
            name: format!("node{other}"),
        };
        self.peers.node_joined(peer, address.to_string());
        self.peers.link(other, incarnation).expect("it joined")
    }

    /// Waits until what this node has seen satisfies `reached`.
    pub(super) async fn wait(&self, reached: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.ledger.seen.subscribe();
        let result = timeout(PATIENCE, seen.wait_for(reached)).await;
        match result {
            Ok(seen) => seen.expect("the ledger is held").clone(),
            Err(_) => panic!("never reached, but: {:?}", self.ledger.seen.borrow()),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Sends as a component's connection would: waits while there is no room.
pub(super) async fn send(link: &Link, mut parcel: Parcel) {
    let sending = async {
        loop {
            match link.try_send(parcel) {
                Ok(()) => return,
                Err(SendError::Full(back) | SendError::Congested(back)) => {
                    link.wait_for_room(&back.to).await;
                    parcel = back;
                }
                Err(SendError::Unreachable(_)) => panic!("the peer is unreachable"),
            }
        }
    };
    timeout(PATIENCE, sending)
        .await
        .expect("there is room at last");
}

/// Waits until `link` is, or is not, open.
pub(super) async fn until_open(link: &Link, open: bool) {
    let turning = async {
        while link.status().open != open {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, turning).await.expect("the link turns");
}
