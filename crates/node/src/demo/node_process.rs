use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::plan::NodePlan;

/// How long a node may take to stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How many lines of a log are shown of a node that died.
const TAIL_LINES: usize = 15;

/// A node of the demo, running as a process of its own.
#[derive(Debug)]
pub(crate) struct NodeProcess {
    name: String,
    log: PathBuf,
    child: Child,
    /// Held open: the node ends when this process does, however that ends.
    _stdin: Option<ChildStdin>,
}

impl NodeProcess {
    /// Starts `node`, one of the cluster of `all`, in `directory`.
    pub(crate) fn start(
        node: &NodePlan,
        all: &[NodePlan],
        directory: &Path,
    ) -> anyhow::Result<Self> {
        let config = directory.join(format!("{}.toml", node.name));
        let log = directory.join(format!("{}.log", node.name));
        let data_dir = directory.join(&node.name);
        std::fs::write(&config, node.config(all, &data_dir))
            .with_context(|| format!("cannot write {}", config.display()))?;
        let log_file =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let mut child = Command::new(program)
            .args(["serve", "--exit-with-parent", "--config"])
            .arg(&config)
            .stdin(Stdio::piped())
            .stdout(log_file.try_clone()?)
            .stderr(log_file)
            // Ctrl-C on the terminal is for the demo alone, which then ends its nodes in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a node")?;
        Ok(Self {
            name: node.name.clone(),
            log,
            _stdin: child.stdin.take(),
            child,
        })
    }

    /// Ready when the node has died, with the end of its log.
    pub(crate) async fn died(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow!(
                "{} died ({status}); the end of its log:\n{}",
                self.name,
                self.log_tail()
            ),
            Err(error) => anyhow!("cannot watch {}: {error}", self.name),
        }
    }

    /// Asks the node to stop.
    pub(crate) fn terminate(&self) {
        // Without an id it has ended and been waited for, and there is nobody to ask.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = id.and_then(Pid::from_raw) {
            // It may have died just now, which is what is wanted.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits until the node has stopped; kills it if that takes too long.
    pub(crate) async fn stopped(&mut self) -> anyhow::Result<()> {
        let Ok(status) = timeout(STOP_PATIENCE, self.child.wait()).await else {
            self.child.kill().await.context("cannot kill a node")?;
            return Err(anyhow!(
                "{} did not stop within {} s and was killed; the end of its log:\n{}",
                self.name,
                STOP_PATIENCE.as_secs(),
                self.log_tail()
            ));
        };
        match status? {
            status if status.success() => Ok(()),
            status => Err(anyhow!(
                "{} stopped with {status}; the end of its log:\n{}",
                self.name,
                self.log_tail()
            )),
        }
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        match tail {
            [] => "  (empty)".to_owned(),
            tail => format!("  {}", tail.join("\n  ")),
        }
    }
}
