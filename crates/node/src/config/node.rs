use std::path::PathBuf;

use super::section::Section;
use super::value::{Parsed, Value, string, text};

/// The name of a node on its own that is given none. The same on every machine: the data directory
/// remembers it, and host names change.
const DEFAULT_NAME: &str = "node1";

/// Where a node keeps its data unless told otherwise.
const DEFAULT_DATA_DIR: &str = "/var/lib/switchyard";

/// Longest name of a node or cluster.
const MAX_NAME_LEN: usize = 63;

/// `[node]`: who this node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Its name, unique in the cluster.
    pub(crate) name: String,
    /// Where the Raft log, snapshots and the node's identity are kept; one that is given as a
    /// relative path is found from the directory of the file.
    pub(crate) data_dir: PathBuf,
}

impl Node {
    /// Reads the section of `root`, if there is one. A node that `may_lack_name`, as those of
    /// MongooseIM's files do, has a default name.
    pub(crate) fn read(root: &mut Section<'_>, may_lack_name: bool) -> Option<Self> {
        let Some(mut section) = root.section("node") else {
            if root.has("node") {
                return None;
            }
            if !may_lack_name {
                let message = "missing: a node of a cluster, or without [listen], needs a name";
                root.error_at_key("node.name", message);
                return None;
            }
            root.warn_at_key("node.name", &no_name());
            return Some(Self {
                name: DEFAULT_NAME.to_owned(),
                data_dir: DEFAULT_DATA_DIR.into(),
            });
        };
        let name = match may_lack_name && !section.has("name") {
            true => {
                section.warn_at_key("name", &no_name());
                section.value("name");
                Some(DEFAULT_NAME.to_owned())
            }
            false => section.required("name", name),
        };
        let data_dir = section.optional("data_dir", text);
        let directory = section.directory();
        section.finish();
        Some(Self {
            name: name?,
            data_dir: directory.join(data_dir.as_deref().unwrap_or(DEFAULT_DATA_DIR)),
        })
    }
}

fn no_name() -> String {
    format!("not given: this node, which is alone, is called \"{DEFAULT_NAME}\"")
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
