//! The kernel's accounts of other processes.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// CPU time of all threads of `processes` so far, living ones and, by the process's own account,
/// those that ended.
pub(crate) fn cpu_time(processes: &[u32]) -> Result<Duration> {
    processes.iter().map(|pid| of_process(*pid)).sum()
}

/// Resident memory of `processes`, in KiB.
pub(crate) fn memory_kib(processes: &[u32]) -> Result<u64> {
    processes.iter().map(|pid| resident(*pid)).sum()
}

/// `utime` and `stime` of proc(5), in ticks of which Linux has 100 in a second on every platform.
fn of_process(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command's name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("malformed stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: u64 = [11, 12]
        .into_iter()
        .map(|field| Ok(fields.get(field).context("short stat")?.parse::<u64>()?))
        .sum::<Result<u64>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line
        .split_whitespace()
        .nth(1)
        .context("no number")?
        .parse()?)
}
