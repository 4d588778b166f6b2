use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic::{Code, Status};

use crate::command::{Batch, Command};
use crate::core::{Core, Leader, not_the_leader};
use crate::leader_search::find_leader;
use crate::lease::LeaseBook;
use crate::lifecycle::Life;
use crate::own_lease::OwnLease;
use crate::pb::peer as pb;
use crate::progress::Progress;
use crate::{Incarnation, NodeId, removal};

/// Who is alive: every node renews its lease with the leader, and the leader ends the life of a
/// node whose lease has run out.
#[derive(Clone)]
pub(crate) struct Liveness {
    core: Core,
    book: Arc<Mutex<LeaseBook>>,
    own: OwnLease,
    /// Nodes that take no components, as they say when they renew.
    drained: Arc<Mutex<BTreeSet<NodeId>>>,
}

/// What becomes of a lease that a node wants renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    Renewed,
    /// The incarnation has ended: the node must begin another.
    Ended,
    /// The node was removed: it must end.
    Removed,
}

/// Longest wait for proof that this node still leads before it lets anybody expire.
const PROOF: Duration = Duration::from_secs(2);

impl Liveness {
    pub(crate) fn new(core: Core) -> Self {
        let timings = core.config.timings;
        let book = LeaseBook::new(timings.lease);
        Self {
            core,
            book: Arc::new(Mutex::new(book)),
            own: OwnLease::new(),
            drained: Arc::default(),
        }
    }

    /// True while this node's own lease runs: nobody has given it up yet.
    pub(crate) fn lease_runs(&self) -> bool {
        self.own.runs()
    }

    /// True while the lease of `node` runs, as far as this node, as leader, knows.
    pub(crate) fn is_alive(&self, node: NodeId) -> bool {
        self.book.lock().is_alive(node, Instant::now())
    }
}

impl Liveness {
    /// True if `node` said, when it renewed its lease with this node, that it takes no components.
    pub(crate) fn is_drained(&self, node: NodeId) -> bool {
        self.drained.lock().contains(&node)
    }
}

// === the leader's part ===

impl Liveness {
    /// Renews the lease of `node`.
    pub(crate) async fn renew(
        &self,
        node: NodeId,
        incarnation: Incarnation,
        is_drained: bool,
    ) -> Result<Renewal, Status> {
        if !self.core.is_leader() {
            return Err(not_the_leader());
        }
        // Proof from a majority, asked for after the renewal was sent: so a successor is elected
        // later than that, and the full lease that it grants covers this one. A leader that was
        // stopped and goes on believes for a moment that it still leads; so may one cut off.
        let index = self.core.read_index_here(PROOF).await?;
        // A leader that has just been elected may not have applied all of the log yet.
        let deadline = Instant::now() + PROOF;
        if self.core.wait_applied(index, deadline).await.is_err() {
            return Err(Status::unavailable("the log is not applied yet"));
        }
        if !self.is_current(node, incarnation) {
            return Ok(Renewal::Ended);
        }
        self.note_drained(node, is_drained);
        let now = Instant::now();
        let mut book = self.book.lock();
        book.prove(now);
        if !book.renew(node, incarnation, now) {
            return Err(Status::unavailable("the lease has run out"));
        }
        Ok(Renewal::Renewed)
    }

    fn note_drained(&self, node: NodeId, is_drained: bool) {
        let mut drained = self.drained.lock();
        let is_news = match is_drained {
            true => drained.insert(node),
            false => drained.remove(&node),
        };
        if is_news && is_drained && node != self.core.id() {
            let name = self.core.name_of(node.0);
            tracing::info!(node = name, id = %node, "Node is drained: out of service until its next start");
        }
    }

    fn is_current(&self, node: NodeId, incarnation: Incarnation) -> bool {
        self.core
            .replica
            .read(|state| state.table.is_current(node, incarnation))
    }

    /// Lets leases run out, whenever this node leads. Never ends.
    pub(crate) async fn expire_leases(self) {
        let mut ticks = interval(self.period());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let expired = self.tick();
            if !expired.is_empty() {
                self.expire(expired).await;
            }
        }
    }

    /// A leader that has just been elected grants everybody a lease, if it has not yet: its word
    /// on who is alive means nothing before.
    pub(crate) fn attend(&self) {
        // Who has run out is found again by the task that expires.
        let _ = self.tick();
    }

    fn period(&self) -> Duration {
        (self.core.config.timings.lease / 100).max(Duration::from_millis(20))
    }

    fn tick(&self) -> Vec<(NodeId, Incarnation)> {
        let leads_in = {
            let metrics = self.core.raft.metrics();
            let metrics = metrics.borrow();
            (metrics.state == ServerState::Leader).then_some(metrics.current_term)
        };
        let mut book = self.book.lock();
        let Some(term) = leads_in else {
            book.stand_down();
            return Vec::new();
        };
        book.lead(term);
        let joined: Vec<_> = self.core.replica.read(|state| {
            let nodes = state.table.nodes();
            nodes
                .filter_map(|(id, row)| Some((id, row.incarnation?)))
                .collect()
        });
        book.tick(&joined, self.period(), Instant::now())
    }

    /// Only a leader that has just proved its leadership may end lives: one that was cut off has
    /// heard from nobody for that very reason.
    async fn expire(&self, expired: Vec<(NodeId, Incarnation)>) {
        if let Err(status) = self.core.read_index_here(PROOF).await {
            tracing::debug!(%status, "Cannot prove leadership, nobody expires");
            return;
        }
        // Who renewed meanwhile lives on, and so does everybody who could not for want of a quorum.
        let now = Instant::now();
        let expired = {
            let mut book = self.book.lock();
            book.prove(now);
            book.condemn(expired, now)
        };
        for (node, incarnation) in &expired {
            tracing::debug!(%node, %incarnation, "Lease expired, removing the node's registrations");
        }
        if expired.is_empty() {
            return;
        }
        let commands = expired
            .into_iter()
            .map(|(node, incarnation)| Command::NodeExpired { node, incarnation });
        let batch = Batch(commands.collect());
        if let Err(error) = self.core.submit(&batch, Instant::now() + PROOF).await {
            tracing::debug!(%error, "Expiry not committed, trying again");
        }
    }
}

// === every node's part ===

impl Liveness {
    /// Renews this node's lease while it is in a life, and says in `alive` whether it runs. Asks
    /// for a new life in `stale` when the leader says that this one has ended. Never ends.
    pub(crate) async fn keep_lease(
        self,
        mut life: watch::Receiver<Life>,
        alive: watch::Sender<Option<Incarnation>>,
        stale: mpsc::Sender<Incarnation>,
    ) {
        while let Some(incarnation) = next_life(&mut life).await {
            self.keep(incarnation, &mut life, &alive, &stale).await;
            self.own.end();
            publish(&alive, &life, None);
        }
    }

    /// Renews the lease of one life until it ends.
    async fn keep(
        &self,
        incarnation: Incarnation,
        life: &mut watch::Receiver<Life>,
        alive: &watch::Sender<Option<Incarnation>>,
        stale: &mpsc::Sender<Incarnation>,
    ) {
        let lease = self.core.config.timings.lease;
        let mut refused = Progress::of_refusal("The leader does not renew this node's lease");
        let publish_lease = |life: &watch::Receiver<Life>| {
            publish(alive, life, self.own.runs().then_some(incarnation));
        };
        let mut is_lost = false;
        while life.borrow_and_update().incarnation == Some(incarnation) {
            publish_lease(life);
            if self.core.is_removed(self.core.id()) {
                self.end_as_removed(life, alive).await;
            }
            if is_lost || self.core.leader().is_none() {
                // One that was removed while it was cut off hears from nobody.
                let _ = timeout(lease / 6, find_leader(&self.core)).await;
            }
            let sent_at = Instant::now();
            let mut renewed = false;
            match timeout(lease / 6, self.renew_with_leader(incarnation)).await {
                Ok(Ok(Renewal::Renewed)) => {
                    renewed = true;
                    self.own.extend(sent_at, lease);
                }
                Ok(Ok(Renewal::Removed)) => self.end_as_removed(life, alive).await,
                Ok(Ok(Renewal::Ended)) => {
                    self.own.end();
                    let _ = stale.try_send(incarnation);
                }
                Ok(Err(status)) if status.code() == Code::FailedPrecondition => {
                    refused.report(status.message());
                }
                Ok(Err(status)) => tracing::debug!(%status, "Lease not renewed"),
                Err(_) => tracing::debug!("Lease not renewed in time"),
            }
            publish_lease(life);
            is_lost = !self.own.runs();
            let pause = if renewed { lease / 3 } else { lease / 20 };
            let _ = timeout(pause, life.changed()).await;
        }
    }

    async fn end_as_removed(
        &self,
        life: &watch::Receiver<Life>,
        alive: &watch::Sender<Option<Incarnation>>,
    ) {
        self.own.end();
        publish(alive, life, None);
        removal::until_dispensable(&self.core).await;
        self.core.fail(self.core.removed(self.core.id()).message());
    }

    async fn renew_with_leader(&self, incarnation: Incarnation) -> Result<Renewal, Status> {
        let is_drained = *self.core.drained.borrow();
        match self.core.leader() {
            None => Err(Status::unavailable("no leader is known")),
            Some(Leader::Me) => self.renew(self.core.id(), incarnation, is_drained).await,
            Some(Leader::Other { id, address }) => {
                let request = pb::RenewRequest {
                    header: Some(self.core.identity.header(id)),
                    incarnation: incarnation.0,
                    lease_ms: lease_ms(self.core.config.timings.lease),
                    drained: is_drained,
                };
                let mut client = self.core.client_of(id, &address)?;
                let answer = client.renew(request).await?.into_inner();
                Ok(match answer {
                    pb::RenewResponse { renewed: true, .. } => Renewal::Renewed,
                    pb::RenewResponse { removed: true, .. } => Renewal::Removed,
                    _ => Renewal::Ended,
                })
            }
        }
    }
}

/// A lease as it is said to others.
pub(crate) fn lease_ms(lease: Duration) -> u64 {
    u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)
}

/// Waits until the node is in a life. None after the end.
async fn next_life(life: &mut watch::Receiver<Life>) -> Option<Incarnation> {
    let joined = life.wait_for(|life| life.incarnation.is_some()).await;
    joined.ok()?.incarnation
}

/// Says whether the lease runs, unless this life is not settled or has ended meanwhile.
fn publish(
    alive: &watch::Sender<Option<Incarnation>>,
    life: &watch::Receiver<Life>,
    incarnation: Option<Incarnation>,
) {
    let life = *life.borrow();
    let state = incarnation.filter(|_| life.settled && life.incarnation == incarnation);
    alive.send_if_modified(|present| {
        let changed = *present != state;
        *present = state;
        changed
    });
}
