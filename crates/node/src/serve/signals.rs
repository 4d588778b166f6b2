use std::convert::Infallible;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::reload::Reloader;

/// The signals that a node knows. What comes before anybody waits for it is not lost.
#[derive(Debug)]
pub(crate) struct Signals {
    pub(super) stop: StopSignals,
    pub(super) reload: ReloadSignal,
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

/// SIGHUP.
#[derive(Debug)]
pub(super) struct ReloadSignal(Signal);

// === impl Signals ===

impl Signals {
    /// Takes the signals over, for as long as the process lives: SIGHUP at a moment when there is
    /// nothing to reload must not end it, which is the system's default. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// When signal handlers cannot be installed.
    pub(crate) fn install() -> anyhow::Result<Self> {
        Ok(Self {
            stop: StopSignals {
                terminate: signal(SignalKind::terminate()).context("cannot handle SIGTERM")?,
                interrupt: signal(SignalKind::interrupt()).context("cannot handle SIGINT")?,
            },
            reload: ReloadSignal(signal(SignalKind::hangup()).context("cannot handle SIGHUP")?),
        })
    }
}

impl StopSignals {
    /// Waits for a signal that asks the process to stop, and names it.
    pub(super) async fn wait(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

impl ReloadSignal {
    /// Has `reloader` reload at every signal; signals that come meanwhile count as one.
    pub(super) async fn drive(&mut self, reloader: &mut Reloader) -> Infallible {
        loop {
            self.0.recv().await;
            reloader.reload().await;
        }
    }
}
