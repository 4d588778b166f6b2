//! The stores: what openraft demands of them, and what must survive `kill -9`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use openraft::testing::{StoreBuilder, Suite};
use openraft::{CommittedLeaderId, EntryPayload, RaftSnapshotBuilder};
use proptest::prelude::*;
use tempfile::TempDir;

use super::log_db::LogDb;
use super::log_store::LogStore;
use super::snapshot::{SnapshotContent, SnapshotError, SnapshotFile};
use super::state_machine::StateMachine;
use super::types::{Entry, LogId, StorageError, TypeConfig, Vote};
use crate::NodeId;
use crate::command::{Batch, Command};
use crate::environment::Machine;
use crate::replica::Replica;

const NODE: u64 = 7;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError> {
        let dir = tempfile::tempdir().unwrap();
        let db = LogDb::open(&dir.path().join("log"), NODE).unwrap();
        let lock = fs::File::create(dir.path().join("lock")).unwrap();
        let store = LogStore::start(db, lock).unwrap();
        let machine = machine(&dir.path().join("snapshot"), 1).unwrap();
        Ok((dir, store, machine))
    }
}

fn machine(path: &Path, cluster: u64) -> Result<StateMachine, SnapshotError> {
    let file = SnapshotFile::new(path.to_owned());
    let cluster = Arc::new(AtomicU64::new(cluster));
    StateMachine::open(Arc::new(Replica::new()), file, cluster, Arc::new(Machine))
}

#[test]
fn openraft_accepts_the_stores() {
    Suite::test_all(Builder).unwrap();
}

fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, NODE), index)
}

fn entry(term: u64, index: u64) -> Entry {
    let command = Command::NodeJoined {
        node: NodeId(index),
        name: format!("n{index}"),
        address: "127.0.0.1:1".to_owned(),
        boot: term,
    };
    Entry {
        log_id: log_id(term, index),
        payload: EntryPayload::Normal(Batch(vec![command])),
    }
}

// === kill -9 ===

#[derive(Debug, Clone)]
enum Step {
    Vote,
    Append(u64),
    Truncate(u64),
    Purge(u64),
    Commit,
    Boot,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Vote),
        (1..6_u64).prop_map(Step::Append),
        (0..4_u64).prop_map(Step::Truncate),
        (0..4_u64).prop_map(Step::Purge),
        Just(Step::Commit),
        Just(Step::Boot),
    ]
}

/// What the log must hold.
#[derive(Debug, Default)]
struct Expected {
    term: u64,
    vote: Option<Vote>,
    entries: Vec<Entry>,
    purged: Option<LogId>,
    committed: Option<LogId>,
    boot: u64,
}

impl Expected {
    fn next_index(&self) -> u64 {
        let last = self.entries.last().map(|entry| entry.log_id);
        last.or(self.purged).map_or(0, |id| id.index + 1)
    }

    fn apply(&mut self, step: &Step, db: &mut LogDb) {
        match *step {
            Step::Vote => {
                self.term += 1;
                self.vote = Some(Vote::new(self.term, NODE));
                db.save_vote(Vote::new(self.term, NODE)).unwrap();
            }
            Step::Append(count) => {
                let from = self.next_index();
                let new: Vec<Entry> = (from..from + count)
                    .map(|at| entry(self.term, at))
                    .collect();
                db.append(&new).unwrap();
                self.entries.extend(new);
            }
            Step::Truncate(back) => {
                // Raft never removes what is committed.
                let committed = |entry: &Entry| Some(entry.log_id) <= self.committed;
                let least = self.entries.partition_point(committed);
                let keep = self.entries.len().saturating_sub(back as usize).max(least);
                let Some(first) = self.entries.get(keep) else {
                    return;
                };
                db.truncate(first.log_id.index).unwrap();
                self.entries.truncate(keep);
            }
            Step::Purge(count) => {
                let count = self.entries.len().min(count as usize);
                let Some(last) = count.checked_sub(1).map(|at| self.entries[at].log_id) else {
                    return;
                };
                db.purge(last).unwrap();
                self.purged = Some(last);
                self.entries.drain(..count);
            }
            Step::Commit => {
                self.committed = db.last();
                db.save_committed(self.committed);
            }
            Step::Boot => {
                self.boot += 1;
                assert_eq!(db.next_boot().unwrap(), self.boot);
            }
        }
    }

    fn check(&self, db: &LogDb) {
        assert_eq!(db.read_vote().unwrap(), self.vote);
        assert_eq!(db.entries(..).unwrap(), self.entries);
        assert_eq!(db.purged(), self.purged);
        let last = self.entries.last().map(|entry| entry.log_id);
        assert_eq!(db.last(), last.or(self.purged));
    }
}

/// What a killed process leaves: the files as they are, without the end of anything.
fn left_by_a_kill(path: &Path) -> PathBuf {
    let dir = path.with_extension("killed");
    fs::create_dir_all(&dir).unwrap();
    let copy = dir.join("log");
    fs::copy(path, &copy).unwrap();
    let mark = |log: &Path| log.with_extension("mark");
    fs::copy(mark(path), mark(&copy)).unwrap();
    copy
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_step_survives_a_kill(steps in prop::collection::vec(step(), 1..16)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut db = LogDb::open(&path, NODE).unwrap();
        let mut expected = Expected::default();
        for step in &steps {
            expected.apply(step, &mut db);
            expected.check(&db);
            let reopened = LogDb::open(&left_by_a_kill(&path), NODE).unwrap();
            expected.check(&reopened);
            // May lag behind, never run ahead.
            prop_assert!(reopened.committed() <= db.committed());
        }
        db.flush_committed().unwrap();
        let reopened = LogDb::open(&left_by_a_kill(&path), NODE).unwrap();
        prop_assert_eq!(reopened.committed(), db.committed());
    }

    #[test]
    fn a_damaged_log_is_refused_or_unharmed(
        at in 0..1000_usize,
        bit in 0..8_u8,
        torn in any::<bool>(),
        killed in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let entries: Vec<Entry> = (0..200).map(|index| entry(1, index)).collect();
        let mut db = LogDb::open(&path, NODE).unwrap();
        db.append(&entries[..150]).unwrap();
        db.save_vote(Vote::new(3, NODE)).unwrap();
        db.append(&entries[150..]).unwrap();
        let path = if killed {
            left_by_a_kill(&path)
        } else {
            drop(db);
            path
        };
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() * at / 1000;
        if torn {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << bit;
        }
        fs::write(&path, &bytes).unwrap();
        if let Ok(db) = LogDb::open(&path, NODE) {
            prop_assert_eq!(db.entries(..).unwrap(), entries);
            prop_assert_eq!(db.read_vote().unwrap(), Some(Vote::new(3, NODE)));
        }
    }
}

#[test]
fn a_log_with_a_hole_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut db = LogDb::open(&path, NODE).unwrap();
    db.append(&[entry(1, 0), entry(1, 1), entry(1, 3)]).unwrap();
    drop(db);
    let error = LogDb::open(&path, NODE).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the log has a hole: 3 entries from 0 to 3"
    );
}

#[test]
fn a_log_that_is_gone_is_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    drop(LogDb::open(&path, NODE).unwrap());
    fs::remove_file(&path).unwrap();
    let error = LogDb::open(&path, NODE).unwrap_err();
    assert!(
        error.to_string().starts_with("the file is missing"),
        "{error}"
    );
}

#[test]
fn a_log_of_another_node_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    drop(LogDb::open(&path, NODE).unwrap());
    let error = LogDb::open(&path, 8).unwrap_err();
    assert_eq!(error.to_string(), "the log belongs to node 7");
}

// === snapshots ===

#[tokio::test]
async fn a_snapshot_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snapshot");
    let mut before = machine(&path, 5).unwrap();
    openraft::storage::RaftStateMachine::apply(&mut before, (1..50).map(|at| entry(1, at)))
        .await
        .unwrap();
    let built = before.build_snapshot().await.unwrap();
    assert_eq!(built.meta.last_log_id, Some(log_id(1, 49)));

    let after = machine(&path, 5).unwrap();
    assert_eq!(after.state(), before.state());
    assert!(matches!(
        machine(&path, 6),
        Err(SnapshotError::ForeignCluster)
    ));
}

#[tokio::test]
async fn a_damaged_snapshot_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snapshot");
    let mut machine = machine(&path, 5).unwrap();
    openraft::storage::RaftStateMachine::apply(&mut machine, (1..50).map(|at| entry(1, at)))
        .await
        .unwrap();
    machine.build_snapshot().await.unwrap();
    let bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        SnapshotContent::decode(&damaged).unwrap_err();
        SnapshotContent::decode(&bytes[..at]).unwrap_err();
    }
    SnapshotContent::decode(&bytes).unwrap();
}

#[test]
fn a_slow_snapshot_does_not_replace_a_newer_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snapshot");
    let file = SnapshotFile::new(path.clone());
    file.store(Some(log_id(1, 9)), b"newer").unwrap();
    file.store(Some(log_id(1, 5)), b"older").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"newer");
}
