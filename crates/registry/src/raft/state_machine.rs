use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use openraft::storage::RaftStateMachine;
use openraft::{
    AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder, RaftTypeConfig, StorageIOError,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::snapshot::{self, SnapshotContent, SnapshotError, SnapshotFile};
use super::types::{
    Entry, LogId, Snapshot, SnapshotMeta, StorageError, StoredMembership, TypeConfig,
};
use crate::environment::{Environment, run_blocking};
use crate::replica::Replica;

/// The state machine of openraft: applies the log to the [`Replica`] and keeps snapshots of it.
///
/// The table lives in memory; after a restart it is the last snapshot plus the log behind it.
#[derive(Debug, Clone)]
pub(crate) struct StateMachine {
    replica: Arc<Replica>,
    file: SnapshotFile,
    /// The bytes of the snapshot kept.
    current: Arc<Mutex<Option<(SnapshotMeta, Bytes)>>>,
    /// 0 until the node belongs to a cluster.
    cluster: Arc<AtomicU64>,
    environment: Arc<dyn Environment>,
}

impl StateMachine {
    /// Loads the snapshot kept, if any, into `replica`.
    pub(crate) fn open(
        replica: Arc<Replica>,
        file: SnapshotFile,
        cluster: Arc<AtomicU64>,
        environment: Arc<dyn Environment>,
    ) -> Result<Self, SnapshotError> {
        let machine = Self {
            replica,
            file,
            current: Arc::default(),
            cluster,
            environment,
        };
        if let Some((content, bytes)) = machine.file.load()? {
            machine.accept(content, bytes)?;
        }
        Ok(machine)
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> crate::replica::State {
        self.replica.read(Clone::clone)
    }

    fn accept(&self, content: SnapshotContent, bytes: Bytes) -> Result<(), SnapshotError> {
        if content.cluster != self.cluster.load(Ordering::Acquire) {
            return Err(SnapshotError::ForeignCluster);
        }
        self.remember(content.meta(), bytes);
        self.replica
            .install(content.table, content.last_log_id, content.membership);
        self.replica.announce_applied();
        Ok(())
    }

    fn remember(&self, meta: SnapshotMeta, bytes: Bytes) {
        let mut current = self.current.lock();
        let newer = current
            .as_ref()
            .is_some_and(|(kept, _)| kept.last_log_id > meta.last_log_id);
        if !newer {
            *current = Some((meta, bytes));
        }
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok(self
            .replica
            .read(|state| (state.applied, state.membership.clone())))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut answers = Vec::new();
        for entry in entries {
            let (membership, batch) = match entry.payload {
                EntryPayload::Blank => (None, None),
                EntryPayload::Normal(batch) => (None, Some(batch)),
                EntryPayload::Membership(membership) => (Some(membership), None),
            };
            self.replica.apply(entry.log_id, membership, batch.as_ref());
            answers.push(());
        }
        self.replica.announce_applied();
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(
        &mut self,
    ) -> Result<Box<<TypeConfig as RaftTypeConfig>::SnapshotData>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Bytes>,
    ) -> Result<(), StorageError> {
        let failed =
            |error: AnyError| StorageIOError::write_snapshot(Some(meta.signature()), error);
        let (file, bytes) = (self.file.clone(), *snapshot);
        let kept = run_blocking(&*self.environment, move || {
            let content = SnapshotContent::decode(&bytes)?;
            file.store(content.last_log_id, &bytes)?;
            Ok::<_, SnapshotError>((content, bytes))
        });
        let (content, bytes) = match kept.await {
            Ok(kept) => kept.map_err(|error| failed(AnyError::new(&error)))?,
            Err(error) => return Err(failed(AnyError::new(&error)).into()),
        };
        self.accept(content, bytes)
            .map_err(|error| failed(AnyError::new(&error)).into())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let current = self.current.lock().clone();
        Ok(current.map(|(meta, bytes)| Snapshot {
            meta,
            snapshot: Box::new(bytes),
        }))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for StateMachine {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let failed = |error: AnyError| StorageIOError::write_snapshot(None, error);
        let cluster = self.cluster.load(Ordering::Acquire);
        let (file, replica) = (self.file.clone(), Arc::clone(&self.replica));
        let kept = run_blocking(&*self.environment, move || {
            let start = Instant::now();
            // Holds up the log for as long as it takes; a copy of the table would take longer.
            let ((meta, bytes), held_up) = replica.read(|state| {
                let start = Instant::now();
                (snapshot::encode(cluster, state), start.elapsed())
            });
            file.store(meta.last_log_id, &bytes)?;
            let revision = meta.last_log_id.map_or(0, |log_id| log_id.index);
            let (size, took) = (bytes.len(), start.elapsed());
            tracing::info!(
                revision,
                size,
                ?held_up,
                ?took,
                "Kept a snapshot of the table"
            );
            Ok::<_, io::Error>((meta, bytes))
        });
        let (meta, bytes) = match kept.await {
            Ok(kept) => kept.map_err(|error| failed(AnyError::new(&error)))?,
            Err(error) => return Err(failed(AnyError::new(&error)).into()),
        };
        self.remember(meta.clone(), bytes.clone());
        Ok(Snapshot {
            meta,
            snapshot: Box::new(bytes),
        })
    }
}
