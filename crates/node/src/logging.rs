//! Log lines for people, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::util::TryInitError;

use crate::config::LogLevel;

/// Logs from here on what `level` and above say. `RUST_LOG`, where it is set, has the last word.
///
/// # Errors
///
/// When the process logs already.
pub(crate) fn init(level: LogLevel) -> Result<(), TryInitError> {
    let filter = EnvFilter::builder()
        .with_default_directive(level.filter().into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .finish()
        .try_init()
}
