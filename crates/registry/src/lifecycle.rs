use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::command::{Batch, Command, Name};
use crate::core::{Core, SubmitError};
use crate::formation::{self, JoinError};
use crate::progress::Progress;
use crate::proposer::Proposer;
use crate::{ConnectionId, Incarnation};

/// The node's present life in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Life {
    /// None: not joined, or the cluster has ended the life and the next has not begun.
    pub(crate) incarnation: Option<Incarnation>,
    /// The registrations of the components that are connected are in the table.
    pub(crate) settled: bool,
}

/// Begins and ends the lives of this node, and carries its registrations from one to the next.
#[derive(Clone)]
pub(crate) struct Lifecycle {
    core: Core,
    proposer: Proposer,
    life: watch::Sender<Life>,
    connected: Connected,
    /// Cancelled when the node leaves: no life begins any more.
    leaving: CancellationToken,
}

/// What the components of this node hold, or are asking for: registered anew in each life.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connected {
    names: Arc<Mutex<HashMap<Name, Holder>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holder {
    connection: ConnectionId,
    hidden: bool,
}

/// How long one attempt to begin a life takes before its progress is reported.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Refusals that are not believed yet.
const REFUSALS: u32 = 10;
/// Pause before the next attempt.
const PAUSE: Duration = Duration::from_millis(200);

// === impl Connected ===

impl Connected {
    /// Notes that `connection` asks for `name`.
    pub(crate) fn insert(&self, name: Name, connection: ConnectionId, hidden: bool) {
        let holder = Holder { connection, hidden };
        let mut names = self.names.lock();
        let present = names.entry(name).or_insert(holder);
        if present.connection <= connection {
            *present = holder;
        }
    }

    /// Notes that `connection` does not hold `name` any longer.
    pub(crate) fn remove(&self, name: &Name, connection: ConnectionId) {
        let mut names = self.names.lock();
        if names
            .get(name)
            .is_some_and(|holder| holder.connection == connection)
        {
            names.remove(name);
        }
    }

    fn holds(&self, name: &Name, holder: Holder) -> bool {
        self.names.lock().get(name) == Some(&holder)
    }

    fn all(&self) -> Vec<(Name, Holder)> {
        let names = self.names.lock();
        names
            .iter()
            .map(|(name, holder)| (name.clone(), *holder))
            .collect()
    }
}

// === impl Lifecycle ===

impl Lifecycle {
    pub(crate) fn new(
        core: Core,
        proposer: Proposer,
        life: watch::Sender<Life>,
        connected: Connected,
    ) -> Self {
        Self {
            core,
            proposer,
            life,
            connected,
            leaving: CancellationToken::new(),
        }
    }

    /// Begins a life: the node's earlier registrations vanish, those of the components that are
    /// connected now are made anew.
    pub(crate) async fn begin(&self) -> Result<Incarnation, JoinError> {
        let begun = self.leaving.run_until_cancelled(self.begin_life()).await;
        begun.unwrap_or(Err(JoinError::Leaving))
    }

    async fn begin_life(&self) -> Result<Incarnation, JoinError> {
        self.life.send_replace(Life::default());
        let incarnation = self.announce().await?;
        self.life.send_replace(Life {
            incarnation: Some(incarnation),
            settled: false,
        });
        self.settle(incarnation).await;
        self.life.send_if_modified(|life| {
            let current = life.incarnation == Some(incarnation);
            life.settled |= current;
            current
        });
        Ok(incarnation)
    }

    /// Begins another life whenever `stale` names the present one. Never ends by itself.
    pub(crate) async fn renew(self, mut stale: mpsc::Receiver<Incarnation>) {
        while let Some(ended) = stale.recv().await {
            if self.life.borrow().incarnation != Some(ended) {
                continue;
            }
            tracing::warn!(incarnation = %ended, "The cluster has given this node up, joining anew");
            match self.begin().await {
                Ok(incarnation) => tracing::info!(%incarnation, "Joined the cluster again"),
                Err(error) => tracing::error!(%error, "Cannot join the cluster again"),
            }
        }
    }

    /// Ends the present life: the node's registrations go at once.
    pub(crate) async fn end(&self) {
        self.leaving.cancel();
        let Some(incarnation) = self.life.send_replace(Life::default()).incarnation else {
            return;
        };
        let node = self.core.id();
        let batch = Batch::from(Command::NodeLeft { node, incarnation });
        let deadline = Instant::now() + self.core.config.timings.leave;
        // `submit` waits until it is applied here too, which no longer matters.
        match timeout_at(deadline, self.core.submit(&batch, deadline)).await {
            Ok(Ok(_)) => tracing::info!("Left the cluster"),
            Ok(Err(error)) => {
                tracing::warn!(%error, "Cannot say goodbye, registrations stay until the lease ends");
            }
            Err(_) => tracing::warn!("Cannot say goodbye in time"),
        }
    }

    /// Puts `NodeJoined` into the log, however long that takes.
    async fn announce(&self) -> Result<Incarnation, JoinError> {
        let boot = self.core.store.call(|db| db.next_boot()).await;
        let boot = boot.map_err(|error| JoinError::Storage(error.to_string()))?;
        let node = self.core.id();
        let batch = Batch::from(Command::NodeJoined {
            node,
            name: self.core.config.node.clone(),
            address: self.core.config.advertise.clone(),
            boot,
        });
        self.submit_patiently(&batch).await?;
        let row = self
            .core
            .replica
            .read(|state| state.table.node(node).cloned());
        match row {
            Some(row) if row.boot == boot => row.incarnation.ok_or(JoinError::Superseded),
            _ => Err(JoinError::Superseded),
        }
    }

    /// Puts `batch` into the log, however long that takes.
    async fn submit_patiently(&self, batch: &Batch) -> Result<(), JoinError> {
        let mut progress = Progress::new("Waiting for the cluster");
        let mut refusals = 0;
        loop {
            if self.core.leader().is_none() {
                formation::find_leader(&self.core).await;
            }
            match self.core.submit(batch, Instant::now() + ATTEMPT).await {
                Ok(_) => return Ok(()),
                Err(SubmitError::NoQuorum) => progress.report("no majority of its voters answers"),
                // A leader that has just been elected may know less than the one before it.
                Err(SubmitError::Refused(_)) if refusals < REFUSALS => refusals += 1,
                Err(SubmitError::Refused(reason)) => return Err(JoinError::Refused(reason)),
                Err(SubmitError::Stopped(reason)) => return Err(JoinError::Storage(reason)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Registers what is connected until all of it is in the table or the life has ended.
    async fn settle(&self, incarnation: Incarnation) {
        loop {
            let missing = self.missing();
            if missing.is_empty() || self.life.borrow().incarnation != Some(incarnation) {
                return;
            }
            tracing::info!(
                count = missing.len(),
                "Registering connected components anew"
            );
            let deadline = Instant::now() + self.core.config.timings.propose;
            let registrations = missing.into_iter().map(|(name, holder)| {
                let Holder { connection, hidden } = holder;
                self.proposer.register(name, connection, hidden, deadline)
            });
            let outcomes = futures::future::join_all(registrations).await;
            if outcomes.iter().any(Result::is_err) {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn missing(&self) -> Vec<(Name, Holder)> {
        let node = self.core.id();
        let all = self.connected.all();
        let held: Vec<bool> = self.core.replica.read(|state| {
            let holds = |name, holder: &Holder| {
                let row = state.table.row(name, node);
                row.is_some_and(|row| row.connection >= holder.connection)
            };
            all.iter()
                .map(|(name, holder)| holds(name, holder))
                .collect()
        });
        all.into_iter()
            .zip(held)
            .filter(|((name, holder), held)| !held && self.connected.holds(name, *holder))
            .map(|(missing, _)| missing)
            .collect()
    }
}
