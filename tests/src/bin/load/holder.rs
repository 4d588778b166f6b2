//! Processes that hold components.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use tokio::runtime::Runtime;

use super::args::Held;
use super::crowd::Doors;

/// A process that connects components and holds them.
#[derive(Debug)]
pub(crate) struct Holder(Child);

impl Holder {
    /// Starts the process; it connects `count` components from number `first` on to `address`,
    /// `parallel` at a time.
    pub(crate) fn start(
        address: SocketAddr,
        first: usize,
        count: usize,
        parallel: usize,
    ) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .args(["--hold", &format!("{address},{first},{count}")])
            .args(["--parallel", &parallel.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self(child))
    }

    /// Waits until all its components are registered.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let stdout = self.0.stdout.as_mut().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(!line.is_empty(), "a process that holds components failed");
        Ok(())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What such a process does: connects, says so in a line, and holds until its input ends.
pub(crate) fn hold(held: Held, parallel: usize, runtime: &Runtime) -> Result<()> {
    let doors = Doors::new([held.address], None);
    let numbers = held.first..held.first + held.count;
    let clients = runtime.block_on(doors.connect_all(numbers, parallel))?;
    println!("{}", clients.len());
    // Only the end of it counts.
    let _ = io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}
