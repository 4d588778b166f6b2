//! Log lines for people, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::LogLevel;

/// Crates of this program. What libraries say is of use to its developers alone, below a warning.
const OWN: [&str; 3] = ["switchyard", "switchyard_listener", "switchyard_registry"];

/// Decides what is logged, from [`init`] on.
pub(crate) struct Logging {
    /// Replaces the filter; `None`: `RUST_LOG` has the last word.
    replace: Option<Box<Replace>>,
}

type Replace = dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync;

/// Logs from here on what `level` and above say. `RUST_LOG`, where it is set, has the last word.
///
/// # Errors
///
/// When the process logs already.
pub(crate) fn init(level: LogLevel) -> Result<Logging, TryInitError> {
    let overruled = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(directives) if !directives.is_empty() => Some(EnvFilter::new(directives)),
        _ => None,
    };
    let is_overruled = overruled.is_some();
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(overruled.unwrap_or_else(|| filter(level)))
        .with_filter_reloading();
    let handle = builder.reload_handle();
    builder.finish().try_init()?;
    let replace = move |filter| handle.reload(filter);
    Ok(Logging {
        replace: (!is_overruled).then(|| Box::new(replace) as Box<Replace>),
    })
}

// === impl Logging ===

impl Logging {
    /// Logs from here on what `level` and above say.
    pub(crate) fn set(&self, level: LogLevel) {
        let Some(replace) = &self.replace else { return };
        if let Err(error) = replace(filter(level)) {
            tracing::error!(%error, "The log level cannot be changed");
        }
    }
}

fn filter(level: LogLevel) -> EnvFilter {
    EnvFilter::new(directives(level.filter()))
}

/// `level` for this program, at most warnings from libraries unless everything is asked for.
fn directives(level: LevelFilter) -> String {
    let (libraries, raft) = match level {
        LevelFilter::TRACE => (level, level),
        LevelFilter::DEBUG => (LevelFilter::WARN, LevelFilter::WARN),
        // It reports every attempt to reach a peer that is down as an error, several in a second;
        // the registry says so once, and passes on what is fatal.
        level => (level.min(LevelFilter::WARN), LevelFilter::OFF),
    };
    let own = OWN.map(|name| format!(",{name}={level}"));
    format!("{libraries},openraft={raft}{}", own.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_say_no_more_than_warnings() {
        let own = |level| {
            format!(",switchyard={level},switchyard_listener={level},switchyard_registry={level}")
        };
        for (level, libraries) in [
            (LevelFilter::OFF, "off,openraft=off"),
            (LevelFilter::ERROR, "error,openraft=off"),
            (LevelFilter::INFO, "warn,openraft=off"),
            (LevelFilter::DEBUG, "warn,openraft=warn"),
            (LevelFilter::TRACE, "trace,openraft=trace"),
        ] {
            assert_eq!(directives(level), format!("{libraries}{}", own(level)));
        }
    }
}
