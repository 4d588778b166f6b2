//! Runs the command line of the binary under test.

use std::ffi::OsStr;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// What a command left behind.
#[derive(Debug)]
pub struct Output {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

const LIMIT: Duration = Duration::from_secs(60);

/// Runs `switchyard ARGUMENTS` to its end.
///
/// # Errors
///
/// When it does not start, or has to be killed because it does not end.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Output> {
    let mut child = Command::new(crate::switchyard()?)
        .args(arguments)
        .env_remove("SWITCHYARD_API")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("the binary does not start")?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let code = wait(&mut child);
    let (Ok(stdout), Ok(stderr)) = (stdout.join(), stderr.join()) else {
        bail!("a reader of the command's output panicked");
    };
    let code = code.with_context(|| format!("{stdout}{stderr}"))?;
    Ok(Output {
        code,
        stdout,
        stderr,
    })
}

/// Runs a command that has to succeed and to print one JSON value.
///
/// # Errors
///
/// When it does not.
pub fn json<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Value> {
    let output = run(arguments)?;
    ensure!(
        output.code == 0,
        "exit code {}: {}",
        output.code,
        output.stderr
    );
    serde_json::from_str(&output.stdout).with_context(|| format!("no JSON: {}", output.stdout))
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is worth showing all the same.
            let _ = pipe.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child) -> Result<i32> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait()? {
            return status.code().context("ended by a signal");
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("still running after {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}
