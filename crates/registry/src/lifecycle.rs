use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::command::{Batch, Command, Name};
use crate::connected::{Connected, Holder};
use crate::core::{Core, SubmitError};
use crate::formation::Asking;
use crate::join_error::JoinError;
use crate::leader_search::find_leader;
use crate::losses::{Loss, LossFeed};
use crate::progress::Progress;
use crate::proposer::{ProposeError, Proposer};
use crate::table::NodeRow;
use crate::{Incarnation, removal};

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
    losses: LossFeed,
    /// Wakes [`Self::publish`].
    unsettled: Arc<Notify>,
    /// There are components that were accepted without quorum.
    is_local_only: Arc<AtomicBool>,
    /// Cancelled when the node leaves: no life begins any more.
    leaving: CancellationToken,
}

/// How long one attempt to begin a life takes before its progress is reported.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Refusals that are not believed yet.
const REFUSALS: u32 = 10;
/// Pause before the next attempt.
const PAUSE: Duration = Duration::from_millis(200);

/// What the table has of a life that was put into the log.
#[derive(Debug, PartialEq, Eq)]
enum Announced {
    /// It has begun.
    Begun(Incarnation),
    /// It has begun, and the cluster has ended it since.
    Over,
    /// A later life of this identity has begun, in another process; or the identity is gone.
    Superseded,
}

// === impl Announced ===

impl Announced {
    /// Of the life with this number, where `row` is what the table has of the node.
    fn read(row: Option<&NodeRow>, boot: u64) -> Self {
        match row {
            Some(row) if row.boot == boot => row.incarnation.map_or(Self::Over, Self::Begun),
            _ => Self::Superseded,
        }
    }
}

// === impl Lifecycle ===

impl Lifecycle {
    pub(crate) fn new(
        core: Core,
        proposer: Proposer,
        life: watch::Sender<Life>,
        connected: Connected,
        losses: LossFeed,
    ) -> Self {
        Self {
            core,
            proposer,
            life,
            connected,
            losses,
            unsettled: Arc::default(),
            is_local_only: Arc::default(),
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
                Err(JoinError::Leaving) => {}
                Err(error) => self.core.fail(error.to_string()),
            }
        }
    }

    /// A component has been accepted without quorum: it is published when there is one.
    pub(crate) fn accepted_locally(&self) {
        if !self.is_local_only.swap(true, Ordering::Relaxed) {
            tracing::warn!("No cluster quorum: accepting components for this node only");
        }
        self.republish();
    }

    /// Something may be missing in the table.
    pub(crate) fn republish(&self) {
        self.unsettled.notify_one();
    }

    /// Registers what is missing whenever something may be. Never ends by itself.
    pub(crate) async fn publish(self) {
        let mut life = self.life.subscribe();
        loop {
            self.unsettled.notified().await;
            while !self.missing().is_empty() {
                let joined = life.wait_for(|life| life.incarnation.is_some()).await;
                let Ok(Some(incarnation)) = joined.map(|life| life.incarnation) else {
                    return;
                };
                self.settle(incarnation).await;
            }
            if self.is_local_only.swap(false, Ordering::Relaxed) {
                tracing::info!("Every component of this node is registered in the cluster");
            }
        }
    }

    /// How many components of this node the table lacks.
    pub(crate) fn unpublished(&self) -> usize {
        self.missing().len()
    }

    /// Ends the present life: the node's registrations go at once.
    pub(crate) async fn end(&self) {
        self.leaving.cancel();
        let Some(incarnation) = self.life.send_replace(Life::default()).incarnation else {
            return;
        };
        let node = self.core.id();
        // Whom the cluster has removed, or whose log has failed, has nobody to say goodbye to.
        if self.core.is_removed(node) || self.core.fatal.borrow().is_some() {
            return;
        }
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
        loop {
            self.refuse_if_removed().await?;
            let boot = self.core.store.call(|db| db.next_boot()).await;
            let boot =
                boot.map_err(|error| JoinError::Storage(self.core.storage_failure(error)))?;
            let node = self.core.id();
            let batch = Batch::from(Command::NodeJoined {
                node,
                name: self.core.config.node.clone(),
                address: self.core.config.advertise.clone(),
                boot,
            });
            self.submit_patiently(&batch).await?;
            let replica = &self.core.replica;
            match replica.read(|state| Announced::read(state.table.node(node), boot)) {
                Announced::Begun(incarnation) => return Ok(incarnation),
                // It took longer than a lease to learn that it had begun: this node was starved, or
                // far behind.
                Announced::Over => tracing::warn!("Given up before it has joined, joining anew"),
                Announced::Superseded => {
                    self.refuse_if_removed().await?;
                    return Err(JoinError::Superseded);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn refuse_if_removed(&self) -> Result<(), JoinError> {
        let node = self.core.id();
        if !self.core.is_removed(node) {
            return Ok(());
        }
        removal::until_dispensable(&self.core).await;
        let refusal = self.core.removed(node);
        Err(JoinError::Refused(refusal.message().to_owned()))
    }

    /// Puts `batch` into the log, however long that takes.
    async fn submit_patiently(&self, batch: &Batch) -> Result<(), JoinError> {
        let mut progress = Progress::new("Waiting for the cluster");
        let mut asking = Asking::new(self.core.config.timings.lease);
        let mut refusals = 0;
        let mut is_lost = false;
        loop {
            if is_lost || self.core.leader().is_none() {
                find_leader(&self.core).await;
            }
            match self.core.submit(batch, Instant::now() + ATTEMPT).await {
                Ok(_) => return Ok(()),
                Err(SubmitError::NoQuorum) => {
                    is_lost = true;
                    progress.report(&self.core.why_no_quorum());
                }
                // A leader that has just been elected may know less than the one before it.
                Err(SubmitError::Refused(_)) if refusals < REFUSALS => refusals += 1,
                Err(SubmitError::Refused(reason)) => {
                    removal::until_dispensable(&self.core).await;
                    return Err(JoinError::Refused(reason));
                }
                // What had made it one was lost with the leader that had taken it in.
                Err(SubmitError::NotMember) => {
                    if let Some(reason) = asking.ask(&self.core).await? {
                        progress.report(&reason);
                    }
                }
                Err(SubmitError::Stopped(reason)) => return Err(JoinError::Storage(reason)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Registers what is connected until all of it is in the table or the life has ended.
    async fn settle(&self, incarnation: Incarnation) {
        let mut is_announced = false;
        loop {
            let missing = self.missing();
            if missing.is_empty() || self.life.borrow().incarnation != Some(incarnation) {
                return;
            }
            if !is_announced {
                is_announced = true;
                let count = missing.len();
                tracing::info!(count, "Registering connected components anew");
            }
            let deadline = Instant::now() + self.core.config.timings.propose;
            let registrations = missing
                .into_iter()
                .map(|(name, holder)| self.restore(name, holder, deadline));
            let outcomes = futures::future::join_all(registrations).await;
            if outcomes.iter().any(Result::is_err) {
                // A quorum that is lost for long must not be asked for again and again.
                let _ = timeout(ATTEMPT, self.core.quorum.until_found()).await;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Registers what a component holds, unless it has gone meanwhile: its unregistration may have
    /// been proposed before, and found nothing. If another node has the name, it is lost.
    async fn restore(
        &self,
        name: Name,
        holder: Holder,
        deadline: Instant,
    ) -> Result<(), ProposeError> {
        let connection = holder.connection;
        let registration = self.proposer.register(name.clone(), holder, deadline);
        let outcome = registration.await;
        if outcome == Err(ProposeError::Taken) {
            self.lose(&name, holder);
            return Ok(());
        }
        if !self.connected.has(&name, connection) {
            self.proposer.unregister(name, connection);
        }
        outcome
    }

    fn lose(&self, name: &Name, holder: Holder) {
        if !self.connected.refuse(name, holder.connection) {
            return;
        }
        // Another attempt to register it anew may have succeeded meanwhile.
        self.proposer.unregister(name.clone(), holder.connection);
        self.losses.publish(&Loss {
            domain: name.domain.clone(),
            is_subdomain: name.is_subdomain,
            node: self.core.id(),
            connection: holder.connection,
            by: None,
        });
    }

    fn missing(&self) -> Vec<(Name, Holder)> {
        let node = self.core.id();
        let all = self.connected.wanted();
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
            .filter(|((name, holder), held)| !held && self.connected.has(name, holder.connection))
            .map(|(missing, _)| missing)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contract_r5_a_life_that_ended_unnoticed_is_followed_by_another() {
        let row = |boot, incarnation| NodeRow {
            name: "n1".into(),
            address: "host:1".into(),
            boot,
            incarnation,
            sequence: 0,
        };
        let life = Incarnation(7);
        for (row, expected) in [
            (Some(row(3, Some(life))), Announced::Begun(life)),
            (Some(row(3, None)), Announced::Over),
            (Some(row(4, Some(life))), Announced::Superseded),
            (Some(row(4, None)), Announced::Superseded),
            (None, Announced::Superseded),
        ] {
            assert_eq!(Announced::read(row.as_ref(), 3), expected, "{row:?}");
        }
    }
}
