use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use parking_lot::Mutex;
use prost::Message;

use super::codec::{self, Invalid};
use super::types::{LogId, SnapshotMeta, StoredMembership};
use crate::command::Name;
use crate::pb::peer as pb;
use crate::replica::State;
use crate::table::{NodeRow, Row, Table};
use crate::{ConnectionId, Incarnation, NodeId};

/// The table at one log index, as it is sent and as it is kept: a header, then a protobuf message.
///
/// ```text
/// "SWYSNAP1" | CRC-32 of the rest, big endian | length of the rest, big endian, 8 octets | Snapshot
/// ```
#[derive(Debug, Clone)]
pub(crate) struct SnapshotContent {
    pub(crate) cluster: u64,
    pub(crate) id: String,
    pub(crate) last_log_id: Option<LogId>,
    pub(crate) membership: StoredMembership,
    pub(crate) table: Table,
}

/// Why bytes are no snapshot, or a snapshot cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the snapshot has another format than this version knows")]
    Format,
    #[error("the snapshot is damaged")]
    Damaged,
    #[error("the snapshot is invalid: {0}")]
    Invalid(#[from] Invalid),
    #[error("the snapshot belongs to another cluster")]
    ForeignCluster,
}

const MAGIC: &[u8; 8] = b"SWYSNAP1";
const HEADER: usize = MAGIC.len() + 4 + 8;

// === impl SnapshotContent ===

impl SnapshotContent {
    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.last_log_id,
            last_membership: self.membership.clone(),
            snapshot_id: self.id.clone(),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (magic, rest) = bytes
            .split_first_chunk::<8>()
            .ok_or(SnapshotError::Damaged)?;
        if magic != MAGIC {
            return Err(SnapshotError::Format);
        }
        let (crc, rest) = rest
            .split_first_chunk::<4>()
            .ok_or(SnapshotError::Damaged)?;
        let (length, body) = rest
            .split_first_chunk::<8>()
            .ok_or(SnapshotError::Damaged)?;
        if u64::from_be_bytes(*length) != body.len() as u64
            || u32::from_be_bytes(*crc) != crc32fast::hash(body)
        {
            return Err(SnapshotError::Damaged);
        }
        let message = pb::Snapshot::decode(body).map_err(Invalid::from)?;
        let nodes = message.nodes.into_iter().map(decode_node);
        let rows = message.rows.into_iter().map(decode_row);
        let mut table = Table::restore(nodes, rows.collect::<Result<Vec<_>, _>>()?);
        let removed = message.removed.into_iter();
        table.restore_removed(removed.map(|node| (NodeId(node.id), node.name.into())));
        Ok(Self {
            cluster: message.cluster_id,
            id: message.id,
            last_log_id: message.last_log_id.map(Into::into),
            membership: message.membership.unwrap_or_default().into(),
            table,
        })
    }
}

/// A snapshot of `state`, which is read once and not copied, and what openraft wants to know of it.
pub(crate) fn encode(cluster: u64, state: &State) -> (SnapshotMeta, Bytes) {
    let meta = SnapshotMeta {
        last_log_id: state.applied,
        last_membership: state.membership.clone(),
        snapshot_id: state.applied.map_or_else(
            || "0".to_owned(),
            |log_id| format!("{}-{}", log_id.leader_id.term, log_id.index),
        ),
    };
    let mut bytes = vec![0; HEADER];
    let head = pb::Snapshot {
        cluster_id: cluster,
        last_log_id: state.applied.map(Into::into),
        membership: Some((&state.membership).into()),
        id: meta.snapshot_id.clone(),
        nodes: state.table.nodes().map(encode_node).collect(),
        rows: Vec::new(),
        removed: encode_removed(&state.table),
    };
    append(&head, &mut bytes);
    append_rows(&state.table, &mut bytes);
    let (header, body) = bytes.split_at_mut(HEADER);
    let mut header = &mut header[..];
    header.put_slice(MAGIC);
    header.put_u32(crc32fast::hash(body));
    header.put_u64(body.len() as u64);
    (meta, bytes.into())
}

/// Appends a message. Messages behind each other are read as one that has the fields of all.
fn append(message: &pb::Snapshot, bytes: &mut Vec<u8>) {
    message.encode(bytes).expect("a Vec takes every write");
}

/// Appends the rows, each as a message of its own, in one and the same allocation.
fn append_rows(table: &Table, bytes: &mut Vec<u8>) {
    let mut message = pb::Snapshot {
        rows: vec![pb::SnapshotRow::default()],
        ..pb::Snapshot::default()
    };
    for (name, rows) in table.names() {
        for row in rows {
            encode_row(name, row, &mut message.rows[0]);
            append(&message, bytes);
        }
    }
}

fn encode_row(name: &Name, row: &Row, message: &mut pb::SnapshotRow) {
    message.domain.clear();
    message.domain.push_str(name.domain.as_str());
    message.is_subdomain = name.is_subdomain;
    message.node = row.node.0;
    message.connection = row.connection.0;
    message.hidden = row.hidden;
    message.exclusive = row.exclusive;
}

fn encode_node((id, row): (NodeId, &NodeRow)) -> pb::SnapshotNode {
    pb::SnapshotNode {
        id: id.0,
        name: row.name.to_string(),
        address: row.address.to_string(),
        boot: row.boot,
        incarnation: row.incarnation.map_or(0, |incarnation| incarnation.0),
        sequence: row.sequence,
    }
}

fn decode_node(node: pb::SnapshotNode) -> (NodeId, NodeRow) {
    let row = NodeRow {
        name: node.name.into(),
        address: node.address.into(),
        boot: node.boot,
        incarnation: (node.incarnation != 0).then_some(Incarnation(node.incarnation)),
        sequence: node.sequence,
    };
    (NodeId(node.id), row)
}

fn encode_removed(table: &Table) -> Vec<pb::RemovedNode> {
    let removed = table.removed().map(|(id, name)| pb::RemovedNode {
        id: id.0,
        name: name.to_string(),
    });
    removed.collect()
}

fn decode_row(row: pb::SnapshotRow) -> Result<(Name, Row), Invalid> {
    let name = codec::name(&row.domain, row.is_subdomain)?;
    let row = Row {
        node: NodeId(row.node),
        connection: ConnectionId(row.connection),
        hidden: row.hidden,
        exclusive: row.exclusive,
    };
    Ok((name, row))
}

/// Where the last snapshot is kept: one file, replaced as a whole.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotFile {
    path: Arc<Path>,
    /// Last log id of the snapshot kept; locked while one is written.
    kept: Arc<Mutex<Option<LogId>>>,
}

// === impl SnapshotFile ===

impl SnapshotFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path: path.into(),
            kept: Arc::default(),
        }
    }

    /// The snapshot kept, if any, and its bytes.
    pub(crate) fn load(&self) -> Result<Option<(SnapshotContent, Bytes)>, SnapshotError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let content = SnapshotContent::decode(&bytes)?;
        *self.kept.lock() = content.last_log_id;
        Ok(Some((content, bytes)))
    }

    /// Keeps `bytes` instead of the former snapshot, unless that is newer: one that was built
    /// slowly must not replace one that was received meanwhile, behind which the log is gone.
    /// Durable when it returns. Blocking.
    pub(crate) fn store(&self, last_log_id: Option<LogId>, bytes: &[u8]) -> io::Result<()> {
        let mut kept = self.kept.lock();
        if *kept > last_log_id {
            return Ok(());
        }
        let unfinished = self.path.with_extension("new");
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, &self.path)?;
        sync_directory(&self.path)?;
        *kept = last_log_id;
        Ok(())
    }
}

/// Makes a rename durable: fsync of the directory that holds `path`.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
