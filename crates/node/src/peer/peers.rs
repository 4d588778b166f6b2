use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::RwLock;
use switchyard_registry::{Incarnation, NodeId};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::driver::Driver;
use super::link::{Link, LinkStatus, Peer};
use super::proto::link_server::LinkServer;
use super::receivers::Receivers;
use super::server::LinkService;
use super::{Life, LinkCounters, LocalDelivery, PeersConfig, Returns};

/// The links from this node to all others, and the receiving ends of theirs.
pub(crate) struct Peers {
    config: Arc<PeersConfig>,
    life: watch::Sender<Option<Life>>,
    links: RwLock<HashMap<NodeId, Arc<Link>>>,
    receivers: Arc<Receivers>,
    local: Arc<dyn LocalDelivery>,
    returns: Arc<dyn Returns>,
    counters: Arc<LinkCounters>,
    process: u64,
    attempts: Arc<AtomicU64>,
    tasks: TaskTracker,
    closed: CancellationToken,
}

impl Peers {
    /// Links to nobody yet. Nothing is sent or received before [`Self::set_life`].
    ///
    /// # Errors
    ///
    /// When the operating system has no random numbers.
    pub(crate) fn new(
        config: PeersConfig,
        local: Arc<dyn LocalDelivery>,
        returns: Arc<dyn Returns>,
    ) -> Result<Self, getrandom::Error> {
        Ok(Self {
            config: Arc::new(config),
            life: watch::Sender::new(None),
            links: RwLock::default(),
            receivers: Arc::default(),
            local,
            returns,
            counters: Arc::default(),
            process: getrandom::u64()?,
            attempts: Arc::default(),
            tasks: TaskTracker::new(),
            closed: CancellationToken::new(),
        })
    }

    /// This node has joined its cluster, anew perhaps; `None`: it must assume that the others have
    /// given it up, and takes no more stanzas from them.
    ///
    /// Links are connected again, and resumed, in the new life. Those of peers to the old one end.
    pub(crate) fn set_life(&self, life: Option<Life>) {
        self.life.send_if_modified(|current| {
            let modified = *current != life;
            *current = life;
            modified
        });
    }

    /// A peer has joined, or is known to listen elsewhere. Ends the link to an earlier life of it.
    ///
    /// Must be called within a tokio runtime.
    pub(crate) fn node_joined(&self, peer: Peer, address: String) {
        if peer.node == self.config.node {
            return;
        }
        let mut links = self.links.write();
        // `shutdown` cancels before it ends the links that are there.
        if self.closed.is_cancelled() {
            return;
        }
        if let Some(link) = links.get(&peer.node) {
            if link.peer().incarnation > peer.incarnation {
                return;
            }
            if link.peer().incarnation == peer.incarnation {
                return link.set_address(address);
            }
        }
        let link = Arc::new(Link::new(
            peer,
            address,
            &self.config,
            Arc::clone(&self.returns),
            Arc::clone(&self.counters),
        ));
        let former = links.insert(link.peer().node, Arc::clone(&link));
        drop(links);
        self.drive(link);
        if let Some(former) = former {
            former.retire();
        }
    }

    /// The registry says that this life of a peer is over: it left, its lease ran out, or it began
    /// a new one. What its link still holds comes back.
    pub(crate) fn node_gone(&self, node: NodeId, incarnation: Incarnation) {
        let is_over = |link: &&Arc<Link>| link.peer().incarnation <= incarnation;
        let link = self.links.read().get(&node).filter(is_over).cloned();
        if let Some(link) = link {
            // While it hands back, it can be found ([`Link::is_handing_back`]).
            link.retire();
            let mut links = self.links.write();
            if links
                .get(&node)
                .is_some_and(|present| Arc::ptr_eq(present, &link))
            {
                links.remove(&node);
            }
        }
        self.receivers.node_gone(node, incarnation);
    }

    /// The link to a life of a peer, if it has not ended.
    pub(crate) fn link(&self, node: NodeId, incarnation: Incarnation) -> Option<Arc<Link>> {
        let links = self.links.read();
        links
            .get(&node)
            .filter(|link| link.peer().incarnation == incarnation)
            .cloned()
    }

    /// The links that have something under way, or that are handing back.
    pub(crate) fn busy_links(&self) -> Vec<Arc<Link>> {
        let links = self.links.read();
        let busy = links.values().filter(|link| link.is_busy());
        busy.cloned().collect()
    }

    /// How the links are doing, by node.
    pub(crate) fn status(&self) -> Vec<LinkStatus> {
        let links: Vec<_> = self.links.read().values().cloned().collect();
        let mut status: Vec<_> = links.iter().map(|link| link.status()).collect();
        status.sort_unstable_by_key(|link| link.peer.node);
        status
    }

    /// What all links have carried.
    pub(crate) fn counters(&self) -> &Arc<LinkCounters> {
        &self.counters
    }

    /// The service that takes the links of peers, for the server on `cluster.listen`. That server
    /// should have been given to [`super::tune`].
    pub(crate) fn service(&self) -> LinkServer<LinkService> {
        let service = LinkService {
            config: Arc::clone(&self.config),
            life: self.life.subscribe(),
            receivers: Arc::clone(&self.receivers),
            local: Arc::clone(&self.local),
            counters: Arc::clone(&self.counters),
            closed: self.closed.clone(),
        };
        LinkServer::new(service)
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX)
    }

    /// Waits until peers have taken everything, at most until `deadline`, then ends all links in both
    /// directions. What is left comes back before this is ready; for what peers have taken they
    /// answer from here on.
    pub(crate) async fn shutdown(&self, deadline: Instant) {
        let links: Vec<_> = self.links.read().values().cloned().collect();
        for link in &links {
            if timeout_at(deadline, link.flushed()).await.is_err() {
                break;
            }
        }
        self.closed.cancel();
        let links: Vec<_> = self.links.write().drain().map(|(_, link)| link).collect();
        for link in links {
            link.close();
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn drive(&self, link: Arc<Link>) {
        let driver = Driver {
            link,
            config: Arc::clone(&self.config),
            life: self.life.subscribe(),
            process: self.process,
            attempts: Arc::clone(&self.attempts),
        };
        self.tasks.spawn(driver.run());
    }
}
