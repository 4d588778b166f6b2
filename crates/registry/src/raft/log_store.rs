use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, LogState, OptionalSend, RaftLogReader, StorageIOError};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::log_db::{LogDb, LogDbError};
use super::types::{Entry, LogId, StorageError, TypeConfig, Vote};

/// The log store of openraft: a handle to the thread that owns the [`LogDb`].
///
/// ### To ensure correctness
///
/// - Jobs run in the order in which they are sent, so a vote and an append are never reordered.
/// - A job is answered after its transaction is on disk.
#[derive(Debug, Clone)]
pub(crate) struct LogStore {
    jobs: Jobs,
}

/// Where jobs are done.
#[derive(Debug, Clone)]
enum Jobs {
    /// On the storage thread.
    Thread(mpsc::Sender<Job>),
    /// Where they come up; see [`crate::environment::Environment::has_threads`].
    Inline(Arc<Mutex<Option<(LogDb, File)>>>),
}

enum Job {
    Run(Box<dyn FnOnce(&mut LogDb) + Send>),
    Close(oneshot::Sender<()>),
}

/// The thread that owns the log has ended.
#[derive(Debug, thiserror::Error)]
#[error("the storage thread has ended")]
struct Ended;

/// How long the committed index may lag on disk while nothing else is written.
const IDLE: Duration = Duration::from_millis(100);

impl LogStore {
    /// Starts the storage thread. It ends when it is closed or the last handle is dropped, and
    /// gives `lock` up then.
    pub(crate) fn start(db: LogDb, lock: File) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        thread::Builder::new()
            .name("registry-log".to_owned())
            .spawn(move || {
                let closer = run(db, &queue);
                drop(lock);
                if let Some(closer) = closer {
                    let _ = closer.send(());
                }
            })?;
        Ok(Self {
            jobs: Jobs::Thread(jobs),
        })
    }

    /// A store without a thread: each job is done before the call for it returns.
    pub(crate) fn inline(db: LogDb, lock: File) -> Self {
        Self {
            jobs: Jobs::Inline(Arc::new(Mutex::new(Some((db, lock))))),
        }
    }

    /// Runs `job` on the storage thread.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut LogDb) -> Result<T, LogDbError> + Send + 'static,
    ) -> Result<T, AnyError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Run(Box::new(move |db| {
            // Nobody waits any more: the job is done all the same.
            let _ = answer.send(job(db));
        }));
        self.jobs.send(job).map_err(|error| AnyError::new(&error))?;
        match answered.await {
            Ok(result) => result.map_err(|error| AnyError::new(&error)),
            Err(_) => Err(AnyError::new(&Ended)),
        }
    }

    /// Ends the storage thread; returns when the files are closed.
    pub(crate) async fn close(&self) {
        let (closer, closed) = oneshot::channel();
        if self.jobs.send(Job::Close(closer)).is_ok() {
            let _ = closed.await;
        }
    }
}

// === impl Jobs ===

impl Jobs {
    fn send(&self, job: Job) -> Result<(), Ended> {
        match self {
            Self::Thread(jobs) => jobs.send(job).map_err(|_| Ended),
            Self::Inline(open) => do_inline(&mut open.lock(), job),
        }
    }
}

fn do_inline(open: &mut Option<(LogDb, File)>, job: Job) -> Result<(), Ended> {
    let (db, _lock) = open.as_mut().ok_or(Ended)?;
    match job {
        Job::Run(job) => job(db),
        Job::Close(closer) => {
            flush(db);
            *open = None;
            let _ = closer.send(());
        }
    }
    Ok(())
}

/// Returns whom to tell that the files are closed.
fn run(mut db: LogDb, queue: &mpsc::Receiver<Job>) -> Option<oneshot::Sender<()>> {
    loop {
        let job = if db.committed_is_dirty() {
            queue.recv_timeout(IDLE)
        } else {
            queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match job {
            Ok(Job::Run(job)) => job(&mut db),
            Err(RecvTimeoutError::Timeout) => flush(&mut db),
            Ok(Job::Close(closer)) => {
                flush(&mut db);
                return Some(closer);
            }
            Err(RecvTimeoutError::Disconnected) => {
                flush(&mut db);
                return None;
            }
        }
    }
}

/// A failure is left to the next append to report: nothing is lost by it.
fn flush(db: &mut LogDb) {
    if let Err(error) = db.flush_committed() {
        tracing::warn!(%error, "Cannot write the committed index");
        db.forget_dirty();
    }
}

// === impl for openraft ===

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let range: (Bound<u64>, Bound<u64>) =
            (range.start_bound().cloned(), range.end_bound().cloned());
        let entries = self.call(move |db| db.entries(range)).await;
        entries.map_err(|error| StorageIOError::read_logs(error).into())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let state = self
            .call(|db| {
                Ok(LogState {
                    last_purged_log_id: db.purged(),
                    last_log_id: db.last(),
                })
            })
            .await;
        state.map_err(|error| StorageIOError::read_logs(error).into())
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        let saved = self.call(move |db| db.save_vote(vote)).await;
        saved.map_err(|error| StorageIOError::write_vote(error).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        let vote = self.call(|db| db.read_vote()).await;
        vote.map_err(|error| StorageIOError::read_vote(error).into())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let saved = self
            .call(move |db| {
                db.save_committed(committed);
                Ok(())
            })
            .await;
        saved.map_err(|error| StorageIOError::write_logs(error).into())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let committed = self.call(|db| Ok(db.committed())).await;
        committed.map_err(|error| StorageIOError::read_logs(error).into())
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let job = Job::Run(Box::new(move |db| {
            let appended = db.append(&entries);
            callback.log_io_completed(appended.map_err(io::Error::other));
        }));
        self.jobs
            .send(job)
            .map_err(|error| StorageIOError::write_logs(AnyError::new(&error)).into())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let truncated = self.call(move |db| db.truncate(log_id.index)).await;
        truncated.map_err(|error| StorageIOError::write_logs(error).into())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let purged = self.call(move |db| db.purge(log_id)).await;
        purged.map_err(|error| StorageIOError::write_logs(error).into())
    }
}
