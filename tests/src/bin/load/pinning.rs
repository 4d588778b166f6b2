//! Who runs on which CPU.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Servers on the first CPU, the load on the second.
pub(crate) fn pin(servers: &[u32]) -> Result<()> {
    servers.iter().try_for_each(|pid| taskset("0", *pid))?;
    taskset("1", std::process::id())
}

fn taskset(cpu: &str, pid: u32) -> Result<()> {
    let status = Command::new("taskset")
        .args(["-a", "-p", "-c", cpu, &pid.to_string()])
        .stdout(Stdio::null())
        .status()
        .context("cannot run taskset; --no-pin does without")?;
    ensure!(status.success(), "taskset failed; --no-pin does without");
    Ok(())
}
