use std::io;
use std::path::Path;

use parking_lot::Mutex;

use super::chance::Chance;
use super::disk::Platter;
use crate::environment::Environment;
use crate::raft::{LogDb, LogDbError};

/// The machine of a simulated node.
#[derive(Debug)]
pub(super) struct SimulatedMachine {
    pub(super) chance: Mutex<Chance>,
    pub(super) platter: Platter,
}

impl Environment for SimulatedMachine {
    fn random(&self) -> io::Result<u64> {
        Ok(self.chance.lock().next())
    }

    fn open_log(&self, _path: &Path, node: u64) -> Result<LogDb, LogDbError> {
        // A log is made under another name first.
        if self.platter.is_empty() {
            let unfinished = Platter::default();
            drop(LogDb::open_on(unfinished.open(), node)?);
            self.platter.rename_from(&unfinished);
        }
        LogDb::open_on(self.platter.open(), node)
    }

    fn has_threads(&self) -> bool {
        false
    }
}
