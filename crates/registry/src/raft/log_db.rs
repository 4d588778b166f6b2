use std::fs;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};

use prost::Message;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

use super::codec::Invalid;
use super::high_water_mark::HighWaterMark;
use super::types::{Entry, LogId, Vote};
use crate::pb::peer as pb;

/// Raft's log, vote and progress on disk: one redb file, one durable transaction for each change.
///
/// Blocking: belongs to a thread of its own, see [`super::LogStore`].
#[derive(Debug)]
pub(crate) struct LogDb {
    db: Database,
    /// What `save_committed` was last told. Written with the next change, or by
    /// [`LogDb::flush_committed`]: it only shortens the replay after a restart, so an older value
    /// on disk is never wrong, and a registration need not wait for one more fsync.
    committed: Option<LogId>,
    committed_is_dirty: bool,
    last: Option<LogId>,
    purged: Option<LogId>,
    /// The number of the last transaction.
    transaction: u64,
    /// Where that number is kept as well; none if the log is no file.
    mark: Option<HighWaterMark>,
}

/// Why the log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogDbError {
    #[error(transparent)]
    Db(#[from] redb::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a record of the log is invalid: {0}")]
    Record(#[from] Invalid),
    #[error("the log has format {found}, this version knows {FORMAT} only")]
    Format { found: u64 },
    #[error("the log belongs to node {found:x}")]
    ForeignNode { found: u64 },
    #[error("the log has a hole: {count} entries from {first} to {last}")]
    Hole { count: u64, first: u64, last: u64 },
    #[error("its end is lost: the last transaction is {found}, and {expected} was on disk before")]
    EndLost { found: u64, expected: u64 },
    #[error("the file is missing, and {0} is not")]
    Lost(String),
    #[error("{path}: {error}")]
    Mark { path: PathBuf, error: io::Error },
    #[error("the log lacks the record {0:?}")]
    Missing(&'static str),
}

const FORMAT: u64 = 1;
/// Enough for the log between two snapshots; redb's own default is a gigabyte.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

const KEY_FORMAT: &str = "format";
const KEY_NODE: &str = "node";
const KEY_CLUSTER: &str = "cluster";
const KEY_BOOT: &str = "boot";
const KEY_VOTE: &str = "vote";
const KEY_COMMITTED: &str = "committed";
const KEY_PURGED: &str = "purged";
const KEY_TRANSACTION: &str = "transaction";

// === opening ===

impl LogDb {
    /// Opens the log at `path`, or makes one for the node `node`.
    pub(crate) fn open(path: &Path, node: u64) -> Result<Self, LogDbError> {
        let mark = path.with_extension("mark");
        if !path.try_exists()? {
            // A new one would have forgotten whom this node voted for.
            if mark.try_exists()? {
                return Err(LogDbError::Lost(mark.display().to_string()));
            }
            create(path, node)?;
        }
        let db = builder().open(path).map_err(redb::Error::from)?;
        let mut log = Self::read(db, node)?;
        log.check_end(&mark)?;
        Ok(log)
    }

    /// Sees that nothing is missing at the end of the log, as far as the mark at `path` knows.
    fn check_end(&mut self, path: &Path) -> Result<(), LogDbError> {
        let opened = HighWaterMark::open(path, self.transaction);
        let (mark, expected) = opened.map_err(|error| LogDbError::Mark {
            path: path.to_owned(),
            error,
        })?;
        if self.transaction < expected {
            return Err(LogDbError::EndLost {
                found: self.transaction,
                expected,
            });
        }
        self.mark = Some(mark);
        Ok(())
    }

    /// Opens the log that `file` holds, or makes one for the node `node` if it is empty.
    #[cfg(test)]
    pub(crate) fn open_on(file: impl redb::StorageBackend, node: u64) -> Result<Self, LogDbError> {
        let is_new = file.len()? == 0;
        let db = builder().create_with_backend(file);
        let db = db.map_err(redb::Error::from)?;
        if is_new {
            prepare(&db, node)?;
        }
        Self::read(db, node)
    }

    fn read(db: Database, node: u64) -> Result<Self, LogDbError> {
        let mut log = Self {
            db,
            committed: None,
            committed_is_dirty: false,
            last: None,
            purged: None,
            transaction: 0,
            mark: None,
        };
        log.load(node)?;
        Ok(log)
    }

    fn load(&mut self, node: u64) -> Result<(), LogDbError> {
        match self.number(KEY_FORMAT)? {
            Some(FORMAT) => {}
            Some(found) => return Err(LogDbError::Format { found }),
            None => return Err(LogDbError::Missing(KEY_FORMAT)),
        }
        match self.number(KEY_NODE)? {
            Some(found) if found == node => {}
            Some(found) => return Err(LogDbError::ForeignNode { found }),
            None => return Err(LogDbError::Missing(KEY_NODE)),
        }
        self.committed = self.record::<pb::LogId>(KEY_COMMITTED)?.map(Into::into);
        self.purged = self.record::<pb::LogId>(KEY_PURGED)?.map(Into::into);
        self.transaction = self.number(KEY_TRANSACTION)?.unwrap_or(0);
        self.read_vote()?;
        self.last = self.check_entries()?.or(self.purged);
        Ok(())
    }

    /// Decodes every entry and sees that none is missing. Returns the last one's id.
    fn check_entries(&self) -> Result<Option<LogId>, LogDbError> {
        let read = self.db.begin_read().map_err(redb::Error::from)?;
        let table = read.open_table(LOG).map_err(redb::Error::from)?;
        let (mut first, mut count, mut last) = (None, 0, None);
        for record in table.iter().map_err(redb::Error::from)? {
            let (index, bytes) = record.map_err(redb::Error::from)?;
            first.get_or_insert_with(|| index.value());
            last = Some(decode_entry(bytes.value())?.log_id);
            count += 1;
        }
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(None);
        };
        let expected = self.purged.map_or(0, |purged| purged.index + 1);
        if first != expected || last.index.checked_sub(first).map(|span| span + 1) != Some(count) {
            let last = last.index;
            return Err(LogDbError::Hole { count, first, last });
        }
        Ok(Some(last))
    }
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder
        .set_cache_size(CACHE_BYTES)
        .set_check_integrity_on_open(true);
    builder
}

/// Makes the log under another name first: a crash leaves either a whole one or none.
fn create(path: &Path, node: u64) -> Result<(), LogDbError> {
    let unfinished = path.with_extension("new");
    if unfinished.try_exists()? {
        fs::remove_file(&unfinished)?;
    }
    let db = builder().create(&unfinished).map_err(redb::Error::from)?;
    prepare(&db, node)?;
    drop(db);
    fs::rename(&unfinished, path)?;
    super::snapshot::sync_directory(path)?;
    Ok(())
}

/// Writes what every log has into an empty one.
fn prepare(db: &Database, node: u64) -> Result<(), LogDbError> {
    let write = db.begin_write().map_err(redb::Error::from)?;
    write.open_table(LOG).map_err(redb::Error::from)?;
    put(&write, KEY_FORMAT, &FORMAT.to_le_bytes())?;
    put(&write, KEY_NODE, &node.to_le_bytes())?;
    write.commit().map_err(redb::Error::from)?;
    Ok(())
}

// === the log ===

impl LogDb {
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<(), LogDbError> {
        self.write(|write| {
            let mut table = write.open_table(LOG).map_err(redb::Error::from)?;
            for entry in entries {
                let bytes = pb::Entry::from(entry).encode_to_vec();
                table
                    .insert(entry.log_id.index, bytes.as_slice())
                    .map_err(redb::Error::from)?;
            }
            Ok(())
        })?;
        if let Some(entry) = entries.last() {
            self.last = Some(entry.log_id);
        }
        Ok(())
    }

    /// Removes the entries from `index` on.
    pub(crate) fn truncate(&mut self, index: u64) -> Result<(), LogDbError> {
        self.write(|write| {
            let mut table = write.open_table(LOG).map_err(redb::Error::from)?;
            table
                .retain_in(index.., |_, _| false)
                .map_err(redb::Error::from)?;
            Ok(())
        })?;
        self.last = self.last_entry()?.or(self.purged);
        Ok(())
    }

    /// Removes the entries up to `log_id`, which a snapshot covers.
    pub(crate) fn purge(&mut self, log_id: LogId) -> Result<(), LogDbError> {
        self.write(|write| {
            put(write, KEY_PURGED, &pb::LogId::from(log_id).encode_to_vec())?;
            let mut table = write.open_table(LOG).map_err(redb::Error::from)?;
            table
                .retain_in(..=log_id.index, |_, _| false)
                .map_err(redb::Error::from)?;
            Ok(())
        })?;
        self.purged = Some(log_id);
        self.last = self.last.max(self.purged);
        Ok(())
    }

    pub(crate) fn entries(&self, range: impl RangeBounds<u64>) -> Result<Vec<Entry>, LogDbError> {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        if is_empty(&range) {
            return Ok(Vec::new());
        }
        let read = self.db.begin_read().map_err(redb::Error::from)?;
        let table = read.open_table(LOG).map_err(redb::Error::from)?;
        let mut entries = Vec::new();
        for record in table.range(range).map_err(redb::Error::from)? {
            let (_, bytes) = record.map_err(redb::Error::from)?;
            entries.push(decode_entry(bytes.value())?);
        }
        Ok(entries)
    }

    /// The last entry, or what was purged last.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.last
    }

    pub(crate) fn purged(&self) -> Option<LogId> {
        self.purged
    }

    fn last_entry(&self) -> Result<Option<LogId>, LogDbError> {
        let read = self.db.begin_read().map_err(redb::Error::from)?;
        let table = read.open_table(LOG).map_err(redb::Error::from)?;
        match table.last().map_err(redb::Error::from)? {
            Some((_, bytes)) => Ok(Some(decode_entry(bytes.value())?.log_id)),
            None => Ok(None),
        }
    }
}

// === vote, progress, identity ===

impl LogDb {
    pub(crate) fn save_vote(&mut self, vote: Vote) -> Result<(), LogDbError> {
        self.write(|write| put(write, KEY_VOTE, &pb::Vote::from(vote).encode_to_vec()))
    }

    pub(crate) fn read_vote(&self) -> Result<Option<Vote>, LogDbError> {
        Ok(self.record::<pb::Vote>(KEY_VOTE)?.map(Into::into))
    }

    /// Notes how far the log is committed, for the next change to write.
    pub(crate) fn save_committed(&mut self, committed: Option<LogId>) {
        self.committed_is_dirty |= self.committed != committed;
        self.committed = committed;
    }

    pub(crate) fn committed(&self) -> Option<LogId> {
        self.committed
    }

    /// True if [`Self::flush_committed`] has something to write.
    pub(crate) fn committed_is_dirty(&self) -> bool {
        self.committed_is_dirty
    }

    pub(crate) fn flush_committed(&mut self) -> Result<(), LogDbError> {
        if self.committed_is_dirty {
            self.write(|_| Ok(()))?;
        }
        Ok(())
    }

    /// Leaves the committed index on disk as it is until it changes again.
    pub(crate) fn forget_dirty(&mut self) {
        self.committed_is_dirty = false;
    }

    /// The cluster that the node belongs to, once it belongs to one.
    pub(crate) fn cluster(&self) -> Result<Option<u64>, LogDbError> {
        self.number(KEY_CLUSTER)
    }

    pub(crate) fn save_cluster(&mut self, cluster: u64) -> Result<(), LogDbError> {
        self.write(|write| put(write, KEY_CLUSTER, &cluster.to_le_bytes()))
    }

    /// Begins another life of the node and returns its number, never the same twice.
    pub(crate) fn next_boot(&mut self) -> Result<u64, LogDbError> {
        let boot = self.number(KEY_BOOT)?.unwrap_or(0) + 1;
        self.write(|write| put(write, KEY_BOOT, &boot.to_le_bytes()))?;
        Ok(boot)
    }

    /// One durable transaction.
    fn write(
        &mut self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), LogDbError>,
    ) -> Result<(), LogDbError> {
        // Durability is redb's default: the commit returns after fsync.
        let write = self.db.begin_write().map_err(redb::Error::from)?;
        change(&write)?;
        if self.committed_is_dirty {
            let committed = self.committed.map(|id| pb::LogId::from(id).encode_to_vec());
            put(&write, KEY_COMMITTED, &committed.unwrap_or_default())?;
        }
        let transaction = self.transaction + 1;
        put(&write, KEY_TRANSACTION, &transaction.to_le_bytes())?;
        write.commit().map_err(redb::Error::from)?;
        self.committed_is_dirty = false;
        self.transaction = transaction;
        if let Some(mark) = &self.mark {
            mark.raise(transaction)?;
        }
        Ok(())
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, LogDbError> {
        let read = self.db.begin_read().map_err(redb::Error::from)?;
        let table = read.open_table(META).map_err(redb::Error::from)?;
        let value = table.get(key).map_err(redb::Error::from)?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    fn number(&self, key: &'static str) -> Result<Option<u64>, LogDbError> {
        let Some(bytes) = self.meta(key)? else {
            return Ok(None);
        };
        let bytes: [u8; 8] = bytes.try_into().map_err(|_| LogDbError::Missing(key))?;
        Ok(Some(u64::from_le_bytes(bytes)))
    }

    /// A record; one of no length counts as none.
    fn record<M: Message + Default>(&self, key: &str) -> Result<Option<M>, LogDbError> {
        let Some(bytes) = self.meta(key)?.filter(|bytes| !bytes.is_empty()) else {
            return Ok(None);
        };
        Ok(Some(M::decode(bytes.as_slice()).map_err(Invalid::from)?))
    }
}

fn put(write: &WriteTransaction, key: &str, value: &[u8]) -> Result<(), LogDbError> {
    let mut table = write.open_table(META).map_err(redb::Error::from)?;
    table.insert(key, value).map_err(redb::Error::from)?;
    Ok(())
}

fn decode_entry(bytes: &[u8]) -> Result<Entry, LogDbError> {
    let entry = pb::Entry::decode(bytes).map_err(Invalid::from)?;
    Ok(entry.try_into()?)
}

/// redb refuses a range whose start lies behind its end.
fn is_empty((start, end): &(Bound<u64>, Bound<u64>)) -> bool {
    let first = match start {
        Bound::Included(first) => *first,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    match end {
        Bound::Included(last) => first > *last,
        Bound::Excluded(end) => first >= *end,
        Bound::Unbounded => false,
    }
}
