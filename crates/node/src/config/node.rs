use std::path::PathBuf;

use super::section::Section;
use super::value::{Parsed, Value, string, text};

/// Where a node keeps its data unless told otherwise.
const DEFAULT_DATA_DIR: &str = "/var/lib/switchyard";

/// Longest name of a node or cluster.
const MAX_NAME_LEN: usize = 63;

/// `[node]`: who this node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its name, unique in the cluster.
    pub(crate) name: String,
    /// Where the Raft log, snapshots and the node's identity are kept.
    pub(crate) data_dir: PathBuf,
}

impl Node {
    pub(crate) fn read(mut section: Section<'_>) -> Option<Self> {
        let name = section.required("name", name);
        let data_dir = section.optional("data_dir", text);
        section.finish();
        Some(Self {
            name: name?,
            data_dir: data_dir
                .unwrap_or_else(|| DEFAULT_DATA_DIR.to_owned())
                .into(),
        })
    }
}

/// The name of a node or a cluster.
pub(crate) fn name(value: Value<'_>) -> Parsed<String> {
    let name = string(value)?;
    if is_name(name) {
        return Ok(name.to_owned());
    }
    value.complain("a name is 1 to 63 letters, digits, hyphens, underscores and dots")
}

/// Fit for tables, labels of metrics and `NAME=ADDRESS`.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_LEN).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}
