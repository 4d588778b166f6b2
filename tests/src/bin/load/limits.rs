//! What the system lets one process have.

use anyhow::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that a process needs for other things than components: a node keeps up to 1024 free.
const OTHERS: u64 = 1_500;
/// Ports for connections from one address to one listener, by the default range of Linux, with room
/// for others.
const PORTS: u64 = 26_000;

/// Lets this process and its children open as many files as they may.
pub(crate) fn raise_open_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?)
}

/// How many components can be connected to one node from one process.
pub(crate) fn components_per_node() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files.saturating_sub(OTHERS).min(PORTS)).unwrap_or(usize::MAX)
}
