use std::env;
use std::fs::OpenOptions;
use std::io::Write;

use anyhow::{Error, Result, ensure};

/// Notes that `what` is not tested, since the system does not permit it, in the file that
/// `SWITCHYARD_SKIPPED` names: the output of a test that passes is seen by nobody.
///
/// # Errors
///
/// When `SWITCHYARD_NO_SKIP` is `1`: the system is one that can.
pub fn skipped(what: &str, why: &Error) -> Result<()> {
    eprintln!("{what}: skipped: {why:#}");
    let must = env::var_os("SWITCHYARD_NO_SKIP").is_some_and(|value| value == "1");
    ensure!(!must, "{what} must not be skipped: {why:#}");
    if let Some(file) = env::var_os("SWITCHYARD_SKIPPED") {
        let mut file = OpenOptions::new().append(true).create(true).open(file)?;
        writeln!(file, "{what}: {why:#}")?;
    }
    Ok(())
}
