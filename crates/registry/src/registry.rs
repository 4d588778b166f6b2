use std::sync::Arc;

use openraft::RaftMetrics;
use openraft::error::Fatal;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::caller::NameCheck;
use crate::chronicle;
use crate::command::Name;
use crate::config::{Config, OnNoQuorum};
use crate::connected::{Connected, Holder, Lost};
use crate::core::Core;
use crate::data_dir::OpenError;
use crate::environment::{Environment, Machine};
use crate::formation;
use crate::identity::ClusterId;
use crate::join_error::JoinError;
use crate::lifecycle::{Life, Lifecycle};
use crate::liveness::Liveness;
use crate::losses::{LossFeed, Losses};
use crate::membership::Membership;
use crate::operations::Operations;
use crate::peer_service::PeerServices;
use crate::proposer::{ProposeError, Proposer};
use crate::raft::Member;
use crate::read_gate::{self, ReadGate};
use crate::routes::Routes;
use crate::service::ApiServices;
use crate::status::{self, ClusterStatus};
use crate::upkeep::keep_membership;
use crate::vigil::Vigil;
use crate::{Claim, ConnectionId, Domain, Incarnation, NodeId};

/// One node's part of the registry: its copy of the component table, and the way to change it.
///
/// A handle; clones are of the same registry.
#[derive(Clone)]
pub struct Registry {
    pub(crate) core: Core,
    lifecycle: Lifecycle,
    liveness: Liveness,
    pub(crate) operations: Operations,
    proposer: Proposer,
    pub(crate) connected: Connected,
    losses: LossFeed,
    confirm: ReadGate<Result<u64, NoQuorum>>,
    alive: watch::Receiver<Option<Incarnation>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A name that a connection asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRegistration {
    /// The component's domain, or its prefix under every served host if `is_subdomain`.
    pub domain: Domain,
    /// The connection that asks.
    pub connection: ConnectionId,
    /// Registered with `is_subdomain="true"` (contract R4).
    pub is_subdomain: bool,
    /// Left out of disco#items for users (contract H2).
    pub hidden: bool,
    /// How it deals with other nodes that hold the name (contract R3).
    pub claim: Claim,
}

/// No majority of the cluster can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no cluster quorum")]
pub struct NoQuorum;

// === opening and closing ===

impl Registry {
    /// Opens the data directory, or makes it, and starts Raft from what is there. The node takes
    /// part in nothing until [`Self::join`]; its peers reach it through the services returned.
    ///
    /// # Errors
    ///
    /// When the directory cannot be used; nothing in it is changed then.
    pub async fn open(config: Config) -> Result<(Self, PeerServices), OpenError> {
        Self::open_in(config, Arc::new(Machine)).await
    }

    /// As [`Self::open`], in an environment of the caller's.
    pub(crate) async fn open_in(
        config: Config,
        environment: Arc<dyn Environment>,
    ) -> Result<(Self, PeerServices), OpenError> {
        let core = Core::open(config, environment).await?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let liveness = Liveness::new(core.clone());
        let life = watch::Sender::new(Life::default());
        let (alive_tx, alive) = watch::channel(None);
        let (stale_tx, stale) = mpsc::channel(1);
        let connected = Connected::default();
        let losses = LossFeed::default();
        let (proposer, proposing) = Proposer::new(
            core.clone(),
            life.subscribe(),
            stale_tx.clone(),
            stop.clone(),
        );
        let lifecycle = Lifecycle::new(
            core.clone(),
            proposer.clone(),
            life.clone(),
            connected.clone(),
            losses.clone(),
        );
        let vigil = Vigil {
            core: core.clone(),
            connected: connected.clone(),
            lifecycle: lifecycle.clone(),
            losses: losses.clone(),
        };
        let (confirm, confirming) = read_gate::of_table(&core, &stop);
        let (leadership, proving) = read_gate::of_leadership(&core, &stop);
        tasks.spawn(proposing);
        tasks.spawn(confirming);
        tasks.spawn(proving);
        let watch_quorum = core.quorum.clone().follow();
        tasks.spawn(stop.clone().run_until_cancelled_owned(watch_quorum));
        let keep_lease = liveness
            .clone()
            .keep_lease(life.subscribe(), alive_tx, stale_tx);
        let expire_leases = liveness.clone().expire_leases();
        let renew = lifecycle.clone().renew(stale);
        tasks.spawn(stop.clone().run_until_cancelled_owned(keep_lease));
        tasks.spawn(stop.clone().run_until_cancelled_owned(expire_leases));
        let publish = lifecycle.clone().publish();
        tasks.spawn(stop.clone().run_until_cancelled_owned(renew));
        tasks.spawn(stop.clone().run_until_cancelled_owned(publish));
        tasks.spawn(stop.clone().run_until_cancelled_owned(vigil.keep()));
        let chronicle = chronicle::follow(core.clone(), alive.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(chronicle));

        let membership = Membership::new(core.clone(), liveness.clone());
        let admission = Admission::new(membership.clone());
        let operations = Operations::new(membership.clone(), admission);
        let services = PeerServices::new(&core, &membership, &operations, &connected, leadership);
        let upkeep = keep_membership(membership);
        tasks.spawn(stop.clone().run_until_cancelled_owned(upkeep));
        let registry = Self {
            core,
            lifecycle,
            liveness,
            operations,
            proposer,
            connected,
            losses,
            confirm,
            alive,
            tasks,
            stop,
        };
        Ok((registry, services))
    }

    /// Becomes a member of the cluster, forming it with the other founders if there is none yet,
    /// and begins a life in it. Takes as long as that takes; says now and then in the log what it
    /// waits for. Cancel safe.
    ///
    /// # Errors
    ///
    /// When it will never succeed as things are configured.
    pub async fn join(&self) -> Result<Incarnation, JoinError> {
        self.core.raft.runtime_config().elect(true);
        formation::become_member(&self.core).await?;
        self.stand_if_alone().await;
        let incarnation = self.lifecycle.begin().await?;
        let mut alive = self.incarnation();
        // Fails after the end of everything only.
        let _ = alive.wait_for(|alive| *alive >= Some(incarnation)).await;
        Ok(incarnation)
    }

    /// The only voter need not wait for anybody before it leads.
    async fn stand_if_alone(&self) {
        let alone = {
            let metrics = self.core.raft.metrics();
            let metrics = metrics.borrow();
            metrics.current_leader.is_none()
                && metrics.membership_config.voter_ids().eq([self.core.id().0])
        };
        if alone && let Err(error) = self.core.raft.trigger().elect().await {
            tracing::debug!(%error, "Cannot stand for election");
        }
    }

    /// Leaves the cluster's duties: the node's registrations go at once, then [`Self::shutdown`].
    /// Bounded in time.
    pub async fn leave(&self) {
        self.lifecycle.end().await;
        self.shutdown().await;
    }

    /// Stops, without a word to the cluster, and closes the files.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Err(error) = self.core.raft.shutdown().await {
            tracing::debug!(%error, "Raft ended badly");
        }
        self.core.store.close().await;
    }

    /// Resolves when Raft or its storage has failed for good (a full disk, for one), or the cluster
    /// does not have this node any longer, with the reason: the node must exit. Pending for ever after an orderly end.
    pub async fn failed(&self) -> String {
        let mut fatal = self.core.fatal.subscribe();
        let refused = async {
            match fatal.wait_for(Option::is_some).await {
                Ok(reason) => reason.clone().unwrap_or_default(),
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            reason = refused => reason,
            reason = self.raft_failed() => reason,
        }
    }

    async fn raft_failed(&self) -> String {
        match end_of_raft(self.core.raft.metrics()).await {
            Fatal::Stopped => std::future::pending().await,
            Fatal::StorageError(error) => self.core.storage_failure(error),
            Fatal::Panicked => "Raft has panicked: see the log".to_owned(),
        }
    }
}

/// Waits until Raft has ended, and says how.
pub(crate) async fn end_of_raft(
    mut metrics: watch::Receiver<RaftMetrics<u64, Member>>,
) -> Fatal<u64> {
    loop {
        let state = metrics.borrow_and_update().running_state.clone();
        if let Err(fatal) = state {
            return fatal;
        }
        // It says why it ends, unless it panics.
        if metrics.changed().await.is_err() {
            return Fatal::Panicked;
        }
    }
}

// === registrations ===

impl Registry {
    /// Registers a name for a connection. When this returns `Ok` the registration is committed in
    /// the cluster and in this node's table. If the future is dropped before it is ready, call
    /// [`Self::unregister`].
    ///
    /// A registration of the same name by an older connection of this node is replaced. Whether a
    /// newcomer may do so is the caller's decision (contract S8). What it means for other nodes, its
    /// [`Claim`] says; the log decides.
    ///
    /// Under [`OnNoQuorum::AcceptLocal`] it returns `Ok` without quorum as well; the name is in no
    /// table until there is one (contract R6).
    ///
    /// # Errors
    ///
    /// When another node has the name, and one of the two does not share it. When the cluster cannot
    /// commit it in time (a few seconds), or at once if it is known not to; should it be committed
    /// after all, it is undone.
    pub async fn register(&self, new: NewRegistration) -> Result<(), ProposeError> {
        if *self.core.drained.borrow() {
            return Err(ProposeError::Refused("this node is drained".to_owned()));
        }
        let NewRegistration {
            domain,
            connection,
            is_subdomain,
            hidden,
            claim,
        } = new;
        let name = Name {
            domain,
            is_subdomain,
        };
        let deadline = Instant::now() + self.core.config.timings.propose;
        let holder = Holder {
            connection,
            hidden,
            claim,
        };
        let anew = Holder {
            claim: claim.again(),
            ..holder
        };
        self.connected.insert(name.clone(), anew);
        let proposed = self.proposer.register(name.clone(), holder, deadline);
        let accepts_local = self.core.config.on_no_quorum == OnNoQuorum::AcceptLocal;
        let outcome = match proposed.await {
            Ok(()) => self.accept(&name, connection),
            Err(ProposeError::NoQuorum) if accepts_local => {
                let accepted = self.accept(&name, connection);
                accepted.inspect(|()| self.lifecycle.accepted_locally())
            }
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.connected.remove(&name, connection);
            // A new life may have registered what asked, all the same.
            self.proposer.unregister(name, connection);
        }
        outcome
    }

    fn accept(&self, name: &Name, connection: ConnectionId) -> Result<(), ProposeError> {
        let id = self.core.id();
        let in_table = self.core.replica.read(|state| {
            let row = state.table.row(name, id);
            row.is_some_and(|row| row.connection == connection)
        });
        let accepted = self.connected.accept(name, connection, in_table);
        accepted.map_err(|Lost| ProposeError::Taken)
    }

    /// Whether `connection` holds the name, or asks for it: false once it has lost it to another
    /// node (see [`Self::losses`]).
    #[must_use]
    pub fn holds(&self, domain: &Domain, connection: ConnectionId, is_subdomain: bool) -> bool {
        let name = Name {
            domain: domain.clone(),
            is_subdomain,
        };
        self.connected.has(&name, connection)
    }

    /// Who loses its name to another node, from now on: a connection of this node that does must
    /// be closed with `conflict` (contract S8).
    #[must_use]
    pub fn losses(&self) -> Losses {
        self.losses.subscribe()
    }

    /// How many components of this node are in no table yet: accepted without quorum, or about to
    /// be registered anew.
    #[must_use]
    pub fn unpublished(&self) -> usize {
        self.lifecycle.unpublished()
    }

    /// Gives a name up, if `connection` still holds it (contract R5). Returns at once; repeated
    /// until the table says so.
    pub fn unregister(&self, domain: &Domain, connection: ConnectionId, is_subdomain: bool) {
        let name = Name {
            domain: domain.clone(),
            is_subdomain,
        };
        self.connected.remove(&name, connection);
        self.proposer.unregister(name, connection);
    }

    /// Waits until this node's table has everything that was committed before this call, and
    /// returns the log index that it reflects then (contract R7). Many callers cost one question
    /// to the leader.
    ///
    /// # Errors
    ///
    /// When no majority answers in time (two seconds by default).
    pub async fn confirm(&self) -> Result<u64, NoQuorum> {
        self.confirm.ask().await.unwrap_or(Err(NoQuorum))
    }

    /// The read side of the table, for routing.
    #[must_use]
    pub fn routes(&self) -> &Arc<Routes> {
        self.core.replica.routes()
    }
}

// === who and where ===

impl Registry {
    /// This node's identity.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.core.id()
    }

    /// What sees that peers speak as themselves, for other services on `cluster.listen`.
    #[must_use]
    pub fn name_check(&self) -> NameCheck {
        NameCheck::new(Arc::clone(&self.core.replica))
    }

    /// The cluster that this node belongs to, once it belongs to one.
    #[must_use]
    pub fn cluster_id(&self) -> Option<ClusterId> {
        self.core.cluster()
    }

    /// This node's present life: none while it is not joined, has not registered its components
    /// anew after the cluster had given it up, or cannot renew its lease.
    #[must_use]
    pub fn incarnation(&self) -> watch::Receiver<Option<Incarnation>> {
        self.alive.clone()
    }

    /// True while this node's lease runs, so that nobody can have given it up yet. Never true for
    /// longer than the leader's side of the lease; where [`Self::incarnation`] needs a moment to
    /// follow, as after the process was stopped for a while, this is exact. Costs a look at the
    /// clock.
    #[must_use]
    pub fn lease_runs(&self) -> bool {
        self.liveness.lease_runs()
    }

    /// True once an operator wants this node to take no components.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        *self.core.drained.borrow()
    }

    /// Resolves when an operator wants this node to take no components any longer, until it is
    /// started again.
    pub async fn drained(&self) {
        let mut drained = self.core.drained.subscribe();
        // Cannot fail: the sender is held here.
        let _ = drained.wait_for(|drained| *drained).await;
    }

    /// The cluster as this node sees it. Asks the leader what it knows, for a second at most.
    pub async fn status(&self) -> ClusterStatus {
        status::describe(&self.core, &self.liveness).await
    }

    /// The gRPC services for operators and programs, for `api.listen`.
    #[must_use]
    pub fn api_services(&self) -> ApiServices {
        ApiServices::new(self.clone())
    }
}
