use std::fmt;
use std::io;
use std::path::Path;

use tokio::task::{JoinError, spawn_blocking};

use crate::raft::{LogDb, LogDbError};

/// What a registry takes from the machine beside its network and its clock, so that a simulation
/// can give it other chances and another disk.
pub(crate) trait Environment: fmt::Debug + Send + Sync {
    /// 64 bits that nobody can foretell.
    fn random(&self) -> io::Result<u64>;

    /// Opens the log at `path`, or makes one for the node `node`.
    fn open_log(&self, path: &Path, node: u64) -> Result<LogDb, LogDbError>;

    /// True if work that blocks has threads of its own. False: it is done at once, where it comes
    /// up, so that the order of events does not depend on the scheduler of the system.
    fn has_threads(&self) -> bool;
}

/// The machine that the process runs on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine;

impl Environment for Machine {
    fn random(&self) -> io::Result<u64> {
        getrandom::u64().map_err(io::Error::other)
    }

    fn open_log(&self, path: &Path, node: u64) -> Result<LogDb, LogDbError> {
        LogDb::open(path, node)
    }

    fn has_threads(&self) -> bool {
        true
    }
}

/// Does work that blocks, without holding up the runtime.
pub(crate) async fn run_blocking<T: Send + 'static>(
    environment: &dyn Environment,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    if environment.has_threads() {
        spawn_blocking(work).await
    } else {
        Ok(work())
    }
}
