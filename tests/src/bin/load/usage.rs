//! The kernel's accounts of other processes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

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

/// How much of one CPU `processes` use from now on for `period`, in percent.
pub(crate) fn share_of_cpu(processes: &[u32], period: Duration) -> Result<f64> {
    let before = cpu_time(processes)?;
    let start = Instant::now();
    thread::sleep(period);
    let used = cpu_time(processes)?.saturating_sub(before);
    Ok(used.as_secs_f64() / start.elapsed().as_secs_f64() * 100.0)
}

/// What the files in `directory` take on disk, in KiB.
pub(crate) fn disk_kib(directory: &Path) -> Result<u64> {
    let mut blocks = 0;
    for entry in fs::read_dir(directory)? {
        blocks += entry?.metadata()?.blocks();
    }
    // Of 512 octets each, whatever the file system's are.
    Ok(blocks / 2)
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
