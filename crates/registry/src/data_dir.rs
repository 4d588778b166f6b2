use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::NodeId;
use crate::environment::Environment;
use crate::raft::{LogDb, LogDbError, SnapshotError, SnapshotFile, sync_directory};

/// The files of one node's registry, locked against other processes.
///
/// ```text
/// identity       who the node is, text; written once, before everything else
/// lock           held while the node runs
/// registry.redb  Raft's log, vote and progress
/// registry.mark  the number of the last transaction in it
/// snapshot       the table at one log index; replaced as a whole
/// ```
#[derive(Debug)]
pub(crate) struct DataDir {
    pub(crate) node: NodeId,
    pub(crate) log: LogDb,
    pub(crate) snapshot: SnapshotFile,
    pub(crate) lock: File,
}

/// Why a data directory cannot be used. Nothing in it has been changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read or written.
    #[error("cannot use the data directory {path}: {error}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another process holds its lock.
    #[error("the data directory {0} is in use by another process")]
    Locked(PathBuf),
    /// It was made for a cluster of another name.
    #[error("the data directory {path} belongs to cluster {found:?}, not {expected:?}")]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// The cluster it belongs to.
        found: String,
        /// The cluster in the configuration.
        expected: String,
    },
    /// It was made for a node of another name.
    #[error("the data directory {path} belongs to node {found:?}, not {expected:?}")]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The node it belongs to.
        found: String,
        /// The node in the configuration.
        expected: String,
    },
    /// A file was written by a version with another format.
    #[error("{path} was written by another version of this program: {detail}")]
    Version {
        /// The file.
        path: PathBuf,
        /// What is different.
        detail: String,
    },
    /// A file is damaged or missing.
    #[error(
        "{path} is damaged: {detail}; this node's data cannot be trusted any more: if a majority of \
         its cluster runs, remove the whole data directory and start it again, as a new member"
    )]
    Corrupted {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Raft could not start from what is on disk.
    #[error("cannot start from the data directory {path}: {detail}")]
    Start {
        /// The directory.
        path: PathBuf,
        /// What openraft says.
        detail: String,
    },
}

const FORMAT: &str = "1";
const IDENTITY: &str = "identity";
const LOG: &str = "registry.redb";

// === impl DataDir ===

impl DataDir {
    /// Opens `path` for the node `node` of the cluster `cluster`, or makes it.
    pub(crate) fn open(
        path: &Path,
        cluster: &str,
        node: &str,
        environment: &dyn Environment,
    ) -> Result<Self, OpenError> {
        fs::create_dir_all(path).map_err(|error| io_error(path, error))?;
        let lock = lock(path)?;
        let identity = path.join(IDENTITY);
        let log = path.join(LOG);
        let id = match fs::read_to_string(&identity) {
            Ok(text) => check_identity(path, &text, cluster, node)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if log.exists() {
                    return Err(corrupted(&identity, "it is missing"));
                }
                make_identity(&identity, cluster, node, environment)?
            }
            Err(error) => return Err(io_error(&identity, error)),
        };
        let opened = environment.open_log(&log, id.0);
        let opened = opened.map_err(|error| log_error(&log, error))?;
        Ok(Self {
            node: id,
            log: opened,
            snapshot: SnapshotFile::new(path.join("snapshot")),
            lock,
        })
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let file = path.join("lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&file)
        .map_err(|error| io_error(&file, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_error(&file, error)),
    }
}

/// Gives the node an id that no other has had: 48 random bits.
fn make_identity(
    file: &Path,
    cluster: &str,
    node: &str,
    environment: &dyn Environment,
) -> Result<NodeId, OpenError> {
    let failed = |error| io_error(file, error);
    let random = environment.random().map_err(failed)?;
    let id = (random >> 16).max(1);
    let mut text =
        String::from("# The identity of one Switchyard node. Neither edit nor copy it.\n");
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "format: {FORMAT}\ncluster: {cluster}\nnode: {node}\nid: {id}\n"
    );
    let unfinished = file.with_extension("new");
    let mut new = File::create(&unfinished).map_err(failed)?;
    new.write_all(text.as_bytes()).map_err(failed)?;
    new.sync_all().map_err(failed)?;
    fs::rename(&unfinished, file).map_err(failed)?;
    sync_directory(file).map_err(failed)?;
    Ok(NodeId(id))
}

fn check_identity(path: &Path, text: &str, cluster: &str, node: &str) -> Result<NodeId, OpenError> {
    let file = path.join(IDENTITY);
    let field = |key: &str| {
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        value.ok_or_else(|| corrupted(&file, format!("it lacks {key:?}")))
    };
    let format = field("format")?;
    if format != FORMAT {
        let detail = format!("format {format}, not {FORMAT}");
        return Err(OpenError::Version { path: file, detail });
    }
    let found = field("cluster")?;
    if found != cluster {
        return Err(OpenError::OtherCluster {
            path: path.to_owned(),
            found: found.to_owned(),
            expected: cluster.to_owned(),
        });
    }
    let found = field("node")?;
    if found != node {
        return Err(OpenError::OtherNode {
            path: path.to_owned(),
            found: found.to_owned(),
            expected: node.to_owned(),
        });
    }
    let id = field("id")?;
    id.parse()
        .map(NodeId)
        .map_err(|_| corrupted(&file, format!("the id {id:?} is no number")))
}

// === errors ===

fn io_error(path: &Path, error: io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        error,
    }
}

pub(crate) fn corrupted(path: &Path, detail: impl Into<String>) -> OpenError {
    OpenError::Corrupted {
        path: path.to_owned(),
        detail: detail.into(),
    }
}

fn log_error(path: &Path, error: LogDbError) -> OpenError {
    // redb says so when the file does not start as its files do, or ends early.
    let unreadable = |path: &Path, error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData => corrupted(path, error.to_string()),
        io::ErrorKind::UnexpectedEof => corrupted(path, "it is too short"),
        _ => io_error(path, error),
    };
    match error {
        LogDbError::Io(error) | LogDbError::Db(redb::Error::Io(error)) => unreadable(path, error),
        LogDbError::Mark { path, error } => unreadable(&path, error),
        LogDbError::Db(redb::Error::DatabaseAlreadyOpen) => OpenError::Locked(path.to_owned()),
        LogDbError::Format { .. } | LogDbError::Db(redb::Error::UpgradeRequired(_)) => {
            OpenError::Version {
                path: path.to_owned(),
                detail: error.to_string(),
            }
        }
        error => corrupted(path, error.to_string()),
    }
}

pub(crate) fn snapshot_error(path: &Path, error: SnapshotError) -> OpenError {
    let path = path.join("snapshot");
    match error {
        SnapshotError::Io(error) => OpenError::Io { path, error },
        SnapshotError::Format => OpenError::Version {
            path,
            detail: error.to_string(),
        },
        error => corrupted(&path, error.to_string()),
    }
}
