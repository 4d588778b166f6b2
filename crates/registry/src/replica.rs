use std::collections::VecDeque;
use std::sync::Arc;

use openraft::{LogId, StoredMembership};
use parking_lot::RwLock;
use tokio::sync::{broadcast, watch};

use crate::NodeId;
use crate::command::Batch;
use crate::raft::Member;
use crate::routes::Routes;
use crate::table::{Delta, Table};

/// Deltas kept for watchers that come back with a revision, and how far a watcher may fall behind.
pub(crate) const HISTORY: usize = 8192;
/// Changes in the deltas kept: one delta may have hundreds. The last delta is kept in any case.
pub(crate) const HISTORY_CHANGES: usize = 8 * HISTORY;

/// This node's copy of the table, with everybody who follows it.
///
/// The state machine writes it; the API, the leases and the routing index read it. A delta becomes
/// visible to all of them under one lock, so that a snapshot and what follows it fit together.
#[derive(Debug)]
pub(crate) struct Replica {
    inner: RwLock<Inner>,
    routes: Arc<Routes>,
    applied: watch::Sender<u64>,
    deltas: broadcast::Sender<Arc<Delta>>,
}

/// The table at one log index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) table: Table,
    pub(crate) applied: Option<LogId<u64>>,
    pub(crate) membership: StoredMembership<u64, Member>,
}

#[derive(Debug, Default)]
struct Inner {
    state: State,
    history: History,
}

/// The last deltas, without gaps.
#[derive(Debug, Default)]
struct History {
    deltas: VecDeque<Arc<Delta>>,
    /// Changes in all of them.
    changes: usize,
    /// Revision after which the history is complete.
    complete_after: u64,
}

/// What a watcher missed, and what it will see.
pub(crate) struct Subscription {
    pub(crate) missed: Vec<Arc<Delta>>,
    pub(crate) deltas: broadcast::Receiver<Arc<Delta>>,
}

/// The history does not reach back that far, or the table has not got there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OutOfRange {
    TooOld,
    Future,
}

impl Replica {
    pub(crate) fn new() -> Self {
        Self {
            inner: RwLock::default(),
            routes: Arc::default(),
            applied: watch::Sender::new(0),
            deltas: broadcast::Sender::new(HISTORY),
        }
    }

    pub(crate) fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// Log index that the table reflects.
    pub(crate) fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Reads the table. `read` must be short: it holds up the state machine.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        // Not behind an entry that waits for a snapshot to be read: leases and heartbeats read too.
        read(&self.inner.read_recursive().state)
    }

    /// What a node is called, once this one knows.
    pub(crate) fn name_of(&self, id: NodeId) -> Option<String> {
        self.read(|state| {
            let row = state.table.node(id).map(|row| row.name.to_string());
            let membership = state.membership.membership();
            row.or_else(|| Some(membership.get_node(&id.0)?.name.clone()))
        })
    }

    /// Reads the table and follows what happens to it from there.
    pub(crate) fn read_and_subscribe<T>(
        &self,
        read: impl FnOnce(&State) -> T,
    ) -> (T, broadcast::Receiver<Arc<Delta>>) {
        let inner = self.inner.read();
        (read(&inner.state), self.deltas.subscribe())
    }

    /// Follows what happens to the table from now on.
    pub(crate) fn deltas(&self) -> broadcast::Receiver<Arc<Delta>> {
        self.deltas.subscribe()
    }

    /// Follows what happens to the table after `revision`.
    pub(crate) fn subscribe_after(&self, revision: u64) -> Result<Subscription, OutOfRange> {
        let inner = self.inner.read();
        if revision > inner.state.revision() {
            return Err(OutOfRange::Future);
        }
        let missed = inner.history.after(revision).ok_or(OutOfRange::TooOld)?;
        Ok(Subscription {
            missed,
            deltas: self.deltas.subscribe(),
        })
    }

    /// Applies one log entry. `batch` is none for entries that do not concern the table.
    pub(crate) fn apply(
        &self,
        log_id: LogId<u64>,
        membership: Option<openraft::Membership<u64, Member>>,
        batch: Option<&Batch>,
    ) {
        let mut inner = self.inner.write();
        let Inner { state, history } = &mut *inner;
        let mut delta = Delta::new(log_id.index);
        for command in batch.map_or(&[][..], |batch| &batch.0) {
            state.table.apply(log_id.index, command, &mut delta);
        }
        if let Some(membership) = membership {
            state.membership = StoredMembership::new(Some(log_id), membership);
        }
        state.applied = Some(log_id);
        if delta.changes.is_empty() {
            return;
        }
        self.routes.apply(&state.table, &delta);
        delta.changes.shrink_to_fit();
        let delta = Arc::new(delta);
        history.push(Arc::clone(&delta));
        // Fails when nobody watches.
        let _ = self.deltas.send(delta);
    }

    /// Replaces the table by that of a snapshot.
    pub(crate) fn install(
        &self,
        table: Table,
        applied: Option<LogId<u64>>,
        membership: StoredMembership<u64, Member>,
    ) {
        let mut inner = self.inner.write();
        let revision = applied.map_or(0, |log_id| log_id.index);
        let delta = inner.state.table.difference(&table, revision);
        inner.state = State {
            table,
            applied,
            membership,
        };
        // What happened in between is unknown: the difference has one revision for all of it.
        inner.history = History {
            complete_after: revision,
            ..History::default()
        };
        self.routes.apply(&inner.state.table, &delta);
        if !delta.changes.is_empty() {
            let _ = self.deltas.send(Arc::new(delta));
        }
    }

    /// Tells those who wait for a log index that it has been applied.
    pub(crate) fn announce_applied(&self) {
        let revision = self.read(State::revision);
        self.applied.send_if_modified(|applied| {
            let advanced = revision > *applied;
            *applied = (*applied).max(revision);
            advanced
        });
    }
}

impl State {
    /// Log index that the table reflects; 0: none.
    pub(crate) fn revision(&self) -> u64 {
        self.applied.map_or(0, |log_id| log_id.index)
    }
}

impl History {
    fn push(&mut self, delta: Arc<Delta>) {
        self.changes += delta.changes.len();
        self.deltas.push_back(delta);
        while self.deltas.len() > 1
            && (self.deltas.len() > HISTORY || self.changes > HISTORY_CHANGES)
            && let Some(oldest) = self.deltas.pop_front()
        {
            self.complete_after = oldest.revision;
            self.changes -= oldest.changes.len();
        }
    }

    fn after(&self, revision: u64) -> Option<Vec<Arc<Delta>>> {
        if revision < self.complete_after {
            return None;
        }
        let from = self
            .deltas
            .partition_point(|delta| delta.revision <= revision);
        Some(self.deltas.range(from..).cloned().collect())
    }
}
