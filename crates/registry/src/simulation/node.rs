use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use parking_lot::Mutex;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};
use tonic::service::RoutesBuilder;
use tonic::transport::Server;

use super::chance::Chance;
use super::components;
use super::disk::Platter;
use super::environment::SimulatedMachine;
use super::network::{self, PORT, SimulatedDialer};
use super::operators;
use super::plan::{Order, Plan};
use super::record::{Record, Sample};
use crate::replica::State;
use crate::{Config, Founder, OnNoQuorum, Registry, Timings};

/// A node of the simulated cluster: what survives its restarts.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) index: usize,
    pub(super) plan: Rc<Plan>,
    pub(super) data_dir: PathBuf,
    pub(super) platter: Platter,
    pub(super) record: Rc<RefCell<Record>>,
    /// Counts its starts.
    pub(super) boot: Cell<u32>,
    /// When it was seen last without a lease.
    pub(super) without_lease_at: Cell<Option<Instant>>,
    /// True while the components come and go.
    pub(super) is_busy: Rc<Cell<bool>>,
    /// What operators have asked it for, and it has not begun with.
    pub(super) orders: RefCell<VecDeque<Order>>,
    /// It has lost its data once.
    pub(super) was_wiped: Cell<bool>,
    /// Set when the process has ended by itself.
    pub(super) end: Cell<Option<End>>,
}

/// Why a process may end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The node was removed, as was wanted.
    Removed,
    /// Its name was in use for too long, by what it was before it lost its data.
    NameInUse,
}

/// A look at every node, and the time that the driver goes on at once.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// The lease of the simulated nodes.
pub(super) const LEASE: Duration = Duration::from_millis(2500);

/// The name of a node's host, which is `node.name` too.
pub(super) fn name(index: usize) -> String {
    format!("n{}", index + 1)
}

/// Within this time of a gap between leases, the end of the life before it has shown itself.
const LATELY: Duration = Duration::from_secs(5);

impl Node {
    /// True if the node's life may be ending without its knowledge.
    pub(super) fn lost_lease_lately(&self) -> bool {
        self.without_lease_at
            .get()
            .is_some_and(|at| at.elapsed() < LATELY)
    }

    /// What runs on the node's host, from its start until its crash.
    pub(super) async fn run(self: Rc<Self>) -> turmoil::Result {
        let boot = self.boot.get() + 1;
        self.boot.set(boot);
        // Of another run's clock.
        self.without_lease_at.set(None);
        self.orders.take();
        let start = self.plan.starts[self.index];
        sleep(start.saturating_sub(turmoil::sim_elapsed().unwrap_or_default())).await;
        let chance = Chance::new(self.plan.seed).fork(1000 * u64::from(boot) + self.index as u64);
        if let Err(reason) = self.serve(chance).await {
            self.ended(reason);
        }
        // What it has started goes on until the crash, which the driver sees to.
        std::future::pending().await
    }

    fn ended(&self, reason: String) {
        let is_doomed = self.record.borrow().doomed.contains(&self.index);
        if self.platter.is_off() {
            // A disk without power is no news.
        } else if is_doomed && reason.contains("was removed from the cluster") {
            self.end.set(Some(End::Removed));
        } else if self.was_wiped.get() && reason.contains("is in use by node") {
            self.end.set(Some(End::NameInUse));
        } else {
            self.record.borrow_mut().fail(reason);
        }
    }

    async fn serve(self: &Rc<Self>, mut chance: Chance) -> Result<(), String> {
        let environment = SimulatedMachine {
            chance: Mutex::new(chance.fork(1)),
            platter: self.platter.clone(),
        };
        let config = self.config(&mut chance);
        let opened = Registry::open_in(config, Arc::new(environment)).await;
        let (registry, services) =
            opened.map_err(|error| format!("{} cannot start: {error}", name(self.index)))?;
        let mut routes = RoutesBuilder::default();
        services.add_to(&mut routes);
        let incoming = network::incoming().await.map_err(|e| e.to_string())?;
        let server = Server::builder().add_routes(routes.routes());
        tokio::spawn(server.serve_with_incoming(incoming));
        spawn_local(Rc::clone(self).watch(registry.clone()));
        let joined = tokio::select! {
            biased;
            reason = registry.failed() => Err(reason),
            joined = registry.join() => joined.map_err(|error| error.to_string()),
        };
        joined.map_err(|reason| format!("{} cannot join: {reason}", name(self.index)))?;
        components::start(self, &registry, &chance);
        spawn_local(operators::serve(Rc::clone(self), registry.clone()));
        let reason = registry.failed().await;
        Err(format!("{} has failed: {reason}", name(self.index)))
    }

    fn config(&self, chance: &mut Chance) -> Config {
        let address = |index| format!("{}:{PORT}", name(index));
        let founders = (0..self.plan.founders).map(|index| Founder {
            name: name(index),
            address: address(index),
        });
        let is_founder = self.index < self.plan.founders;
        // openraft draws its patience from between these two, by a source that no seed reaches:
        // so the draw is made here.
        let election = Duration::from_millis(chance.between(400, 800));
        Config {
            cluster: "simulated".to_owned(),
            node: name(self.index),
            advertise: address(self.index),
            members: founders.filter(|_| is_founder).collect(),
            seeds: (!is_founder).then(|| (0..self.plan.founders).map(address).collect()),
            voters: self.plan.voters,
            data_dir: self.data_dir.clone(),
            timings: Timings {
                lease: LEASE,
                heartbeat: Duration::from_millis(100),
                election_min: election,
                election_max: election + Duration::from_millis(1),
                snapshot_entries: self.plan.snapshot_entries,
                ..Timings::default()
            },
            dialer: Arc::new(SimulatedDialer),
            on_no_quorum: OnNoQuorum::Refuse,
        }
    }

    /// Looks at the node again and again, for the checks.
    async fn watch(self: Rc<Self>, registry: Registry) {
        // Raft shows a vote of nobody until it has read its own.
        let _ = registry.core.raft.metrics().changed().await;
        let alive = registry.incarnation();
        let mut table = Rc::default();
        let mut applied = None;
        loop {
            let metrics = registry.core.raft.metrics().borrow().clone();
            let membership = metrics.membership_config.membership();
            registry.core.replica.read(|state: &State| {
                if state.applied != applied {
                    applied = state.applied;
                    table = Rc::new(state.table.clone());
                }
            });
            self.record
                .borrow_mut()
                .identities
                .insert(self.index, registry.node_id());
            let sample = Sample {
                at: turmoil::sim_elapsed().unwrap_or_default(),
                node: self.index,
                boot: self.boot.get(),
                id: registry.node_id(),
                vote: metrics.vote,
                leads: metrics.state == ServerState::Leader,
                applied,
                table: Rc::clone(&table),
                alive: *alive.borrow(),
                lease_runs: registry.lease_runs(),
                members: membership.nodes().map(|(id, _)| *id).collect(),
                voters: membership.get_joint_config().clone(),
            };
            self.record.borrow_mut().samples.push(sample);
            sleep(TICK).await;
        }
    }
}
