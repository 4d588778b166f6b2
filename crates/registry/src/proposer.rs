use std::collections::{HashSet, VecDeque};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Duration, Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::command::{Batch, Changes, Command, Name, RowChange};
use crate::connected::Holder;
use crate::core::{Core, SubmitError};
use crate::lifecycle::Life;
use crate::table::Table;
use crate::{ConnectionId, Incarnation, NodeId};

/// Why a registration was not committed, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// No majority of the cluster can be reached (contract R6).
    #[error("no cluster quorum")]
    NoQuorum,
    /// A newer connection of this node holds the name.
    #[error("superseded by a newer connection")]
    Superseded,
    /// Another node holds the name, and one of the two does not share it (contract R3); or this
    /// connection was unregistered meanwhile.
    #[error("connected to another node")]
    Taken,
    /// The cluster does not accept what this node proposes.
    #[error("refused by the cluster: {0}")]
    Refused(String),
    /// This node has left the cluster or its registry has failed.
    #[error("the registry has stopped")]
    Stopped,
}

/// The way by which this node's registrations get into the log: one task that puts what is
/// waiting into one entry, so that the batch grows with the time that an entry takes.
#[derive(Debug, Clone)]
pub(crate) struct Proposer {
    // Unbounded: an operation is a connection that waits for its handshake, or one that was
    // registered and is gone.
    operations: mpsc::UnboundedSender<Operation>,
}

/// A change to propose, and who waits for it.
#[derive(Debug)]
struct Operation {
    change: RowChange,
    deadline: Instant,
    done: Option<oneshot::Sender<Result<(), ProposeError>>>,
    /// It makes good for an entry that may be in the log, though nobody knows.
    makes_good: bool,
}

/// Changes of one log entry at most.
const BATCH: usize = 512;
/// Pause before what must be retried is tried again.
const RETRY: Duration = Duration::from_millis(250);

// === impl Proposer ===

impl Proposer {
    /// A proposer and its task. `life` is that of the node; whoever
    /// finds that the cluster has ended it says so in `stale`.
    pub(crate) fn new(
        core: Core,
        life: watch::Receiver<Life>,
        stale: mpsc::Sender<Incarnation>,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (operations, queue) = mpsc::unbounded_channel();
        let worker = Worker {
            core,
            queue,
            waiting: VecDeque::new(),
            life,
            stale,
            sequence: (None, 0),
        };
        let task = async move {
            stop.run_until_cancelled(worker.run()).await;
        };
        (Self { operations }, task)
    }

    /// Registers a name. It is committed, and in this node's table, when this returns `Ok`;
    /// if this fails, at `deadline` at the latest, the registration will be undone should it have
    /// been committed after all.
    pub(crate) async fn register(
        &self,
        name: Name,
        holder: Holder,
        deadline: Instant,
    ) -> Result<(), ProposeError> {
        let (done, mut outcome) = oneshot::channel();
        let operation = Operation {
            change: RowChange::Register {
                name,
                connection: holder.connection,
                hidden: holder.hidden,
                claim: holder.claim,
            },
            deadline,
            done: Some(done),
            makes_good: false,
        };
        self.operations
            .send(operation)
            .map_err(|_| ProposeError::Stopped)?;
        match timeout_at(deadline, &mut outcome).await {
            Ok(outcome) => outcome.unwrap_or(Err(ProposeError::Stopped)),
            Err(_) => {
                // What comes from here on is undone.
                outcome.close();
                outcome.try_recv().unwrap_or(Err(ProposeError::NoQuorum))
            }
        }
    }

    /// Removes a registration, in time: retried until the table does not have it.
    pub(crate) fn unregister(&self, name: Name, connection: ConnectionId) {
        let operation = Operation {
            change: RowChange::Unregister { name, connection },
            deadline: Instant::now(),
            done: None,
            makes_good: false,
        };
        // After the end of the task the node's registrations go with its life.
        let _ = self.operations.send(operation);
    }
}

struct Worker {
    core: Core,
    queue: mpsc::UnboundedReceiver<Operation>,
    /// In the order of arrival.
    waiting: VecDeque<Operation>,
    life: watch::Receiver<Life>,
    stale: mpsc::Sender<Incarnation>,
    /// Last sequence number given out in an incarnation.
    sequence: (Option<Incarnation>, u64),
}

// === impl Worker ===

impl Worker {
    async fn run(mut self) {
        while self.gather().await {
            self.expire();
            self.tidy();
            let incarnation = self.life.borrow().incarnation;
            let Some(incarnation) = incarnation else {
                self.wait_for_life().await;
                continue;
            };
            let batch: Vec<Operation> = {
                let count = self.waiting.len().min(BATCH);
                self.waiting.drain(..count).collect()
            };
            if !batch.is_empty() {
                self.propose(incarnation, batch).await;
            }
        }
    }

    /// Waits for something to do, and takes all there is: who waits behind what must be retried is
    /// to be told in time. False when nobody can ask any more.
    async fn gather(&mut self) -> bool {
        if self.waiting.is_empty() {
            match self.queue.recv().await {
                Some(operation) => self.waiting.push_back(operation),
                None => return false,
            }
        }
        while let Ok(operation) = self.queue.try_recv() {
            self.waiting.push_back(operation);
        }
        true
    }

    /// Fails what has waited too long. What must be undone stays.
    fn expire(&mut self) {
        let now = Instant::now();
        let fail_fast = self.core.quorum.is_lost();
        self.waiting.retain_mut(|operation| {
            let is_late = fail_fast || operation.deadline <= now;
            let done = operation.done.as_ref();
            let expired = done.is_some_and(|done| is_late || done.is_closed());
            if expired {
                operation.finish(Err(ProposeError::NoQuorum));
            }
            !expired
        });
    }

    /// Forgets unregistrations without effect. Without quorum there is one for each attempt of each
    /// component to connect, for as long as that takes.
    fn tidy(&mut self) {
        if self.waiting.len() <= BATCH {
            return;
        }
        let (waiting, id) = (&mut self.waiting, self.core.id());
        let mut asked_for = HashSet::new();
        self.core.replica.read(|state| {
            waiting.retain(|operation| match &operation.change {
                RowChange::Register { connection, .. } => {
                    asked_for.insert(*connection);
                    true
                }
                RowChange::Unregister { name, connection } => {
                    let row = state.table.row(name, id);
                    operation.makes_good
                        || asked_for.contains(connection)
                        || row.is_some_and(|row| row.connection == *connection)
                }
            });
        });
    }

    async fn wait_for_life(&mut self) {
        tokio::select! {
            _ = self.life.wait_for(|life| life.incarnation.is_some()) => {}
            () = tokio::time::sleep(RETRY) => {}
        }
    }

    async fn propose(&mut self, incarnation: Incarnation, batch: Vec<Operation>) {
        let Some(deadline) = batch.iter().map(Operation::patience).max() else {
            return;
        };
        let changes = Changes {
            node: self.core.id(),
            incarnation,
            sequence: self.next_sequence(incarnation),
            changes: batch.iter().map(|op| op.change.clone()).collect(),
        };
        let entry = Batch::from(Command::Changes(changes));
        match self.core.submit(&entry, deadline).await {
            Ok(_) => self.settle(incarnation, batch).await,
            Err(error) => {
                self.give_up(batch, &error);
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    fn next_sequence(&mut self, incarnation: Incarnation) -> u64 {
        if self.sequence.0 != Some(incarnation) {
            self.sequence = (Some(incarnation), 0);
        }
        self.sequence.1 += 1;
        self.sequence.1
    }

    /// The entry is applied: what it did is read from the table, which is right even if an
    /// earlier attempt had put the same entry into the log.
    async fn settle(&mut self, incarnation: Incarnation, batch: Vec<Operation>) {
        let id = self.core.id();
        let outcomes: Option<Vec<_>> = self.core.replica.read(|state| {
            let outcome = |operation: &Operation| operation.outcome(&state.table, id);
            let is_current = state.table.is_current(id, incarnation);
            is_current.then(|| batch.iter().map(outcome).collect())
        });
        let Some(outcomes) = outcomes else {
            // The cluster has ended this life. The changes wait for the next one, in their order: a
            // registration must not outlive the unregistration behind it.
            let _ = self.stale.try_send(incarnation);
            for operation in batch.into_iter().rev() {
                self.waiting.push_front(operation);
            }
            let _ = timeout(RETRY, self.life.changed()).await;
            return;
        };
        for (mut operation, outcome) in batch.into_iter().zip(outcomes) {
            let is_registered = operation.done.is_some() && outcome.is_ok();
            if !operation.finish(outcome) && is_registered {
                self.waiting.push_front(operation.undone());
            }
        }
    }

    /// Nobody knows whether the entry will be committed. Should it be, the next one undoes it.
    fn give_up(&mut self, batch: Vec<Operation>, error: &SubmitError) {
        let error = match error {
            SubmitError::NoQuorum => ProposeError::NoQuorum,
            SubmitError::Refused(reason) => ProposeError::Refused(reason.clone()),
            SubmitError::NotMember => ProposeError::Refused(error.to_string()),
            SubmitError::Stopped(_) => ProposeError::Stopped,
        };
        for mut operation in batch.into_iter().rev() {
            operation.finish(Err(error.clone()));
            self.waiting.push_front(operation.undone());
        }
    }
}

// === impl Operation ===

impl Operation {
    /// How long to try. What nobody waits for is tried a moment at a time.
    fn patience(&self) -> Instant {
        match self.done {
            Some(_) => self.deadline,
            None => Instant::now() + 4 * RETRY,
        }
    }

    fn outcome(&self, table: &Table, id: NodeId) -> Result<(), ProposeError> {
        let RowChange::Register {
            name, connection, ..
        } = &self.change
        else {
            return Ok(());
        };
        match table.row(name, id).map(|row| row.connection) {
            Some(holder) if holder == *connection => Ok(()),
            Some(holder) if holder > *connection => Err(ProposeError::Superseded),
            _ => Err(ProposeError::Taken),
        }
    }

    /// Tells who waits. False if nobody does any more.
    fn finish(&mut self, outcome: Result<(), ProposeError>) -> bool {
        let done = self.done.take();
        done.is_some_and(|done| done.send(outcome).is_ok())
    }

    /// What makes good for this operation having been committed or not.
    fn undone(self) -> Self {
        let change = match self.change {
            RowChange::Register {
                name, connection, ..
            } => RowChange::Unregister { name, connection },
            unregister @ RowChange::Unregister { .. } => unregister,
        };
        Self {
            change,
            makes_good: true,
            ..self
        }
    }
}
