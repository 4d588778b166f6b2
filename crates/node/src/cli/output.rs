use std::io::{ErrorKind, Write};

use anyhow::Context;
use serde::Serialize;

/// Writes `text` to standard output. A reader that has gone, such as `head`, is no failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Writes `value` to standard output as one line of JSON.
pub(crate) fn print_json_line(value: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string(value).context("cannot write JSON")?;
    print(&(json + "\n"))
}

/// Writes `value` to standard output as JSON.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    print(&(json + "\n"))
}
