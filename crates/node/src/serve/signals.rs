use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for a signal that asks the process to stop, and names it.
///
/// # Errors
///
/// When signal handlers cannot be installed.
pub(super) async fn stop() -> anyhow::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot handle SIGHUP")?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok("SIGTERM"),
            _ = interrupt.recv() => return Ok("SIGINT"),
            // Its default is to end the process, without a word to anybody.
            _ = hangup.recv() => tracing::warn!(
                "SIGHUP ignored: this version does not reload its configuration, restart the node"
            ),
        }
    }
}
