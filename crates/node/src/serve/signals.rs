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
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
