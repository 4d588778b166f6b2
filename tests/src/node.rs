use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{Component, Listener, NodeConfig, PATIENCE, cli, eventually, http};

/// Lines of a node's log that are shown when a test fails.
const TAIL: usize = 60;

/// One node: its files, and its process while it runs.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    config_file: PathBuf,
    log_file: PathBuf,
    /// The command that runs the binary; empty: it runs by itself.
    wrapper: Vec<String>,
    process: Option<Child>,
    /// Its id, for [`Links`](crate::Links); 0: it does not run.
    process_id: Arc<AtomicU32>,
}

impl Node {
    /// Writes the node's configuration into `dir`. Starts nothing.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn new(dir: &Path, config: NodeConfig) -> Result<Self> {
        let config_file = dir.join(format!("{}.toml", config.name));
        fs::write(&config_file, config.render())?;
        let log_file = dir.join(format!("{}.log", config.name));
        Ok(Self {
            config,
            config_file,
            log_file,
            wrapper: Vec::new(),
            process: None,
            process_id: Arc::default(),
        })
    }

    /// `node.name`
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// What its configuration file says.
    #[must_use]
    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Where its configuration file is.
    #[must_use]
    pub fn config_file(&self) -> &Path {
        &self.config_file
    }

    /// The process that runs it, if it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Where the id of its process is while it runs; 0: it does not.
    pub(crate) fn process_id(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.process_id)
    }

    /// The address of a component listener.
    #[must_use]
    pub fn listener(&self, listener: Listener) -> SocketAddr {
        self.config.components[listener as usize]
    }

    /// Connects a component to the listener with `conflict_behaviour = "disconnect"`.
    ///
    /// # Errors
    ///
    /// As [`Component::connect`].
    pub fn connect(&self, domain: &str) -> Result<Component> {
        Component::connect(self.listener(Listener::Disconnect), domain)
            .with_context(|| format!("{domain} on {}", self.name()))
    }

    /// True from its start until it is killed or terminated.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Starts the process. Does not wait for it.
    ///
    /// # Errors
    ///
    /// When it runs already or does not start.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs already", self.name());
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log_file)?;
        let child = self
            .command(log)?
            .spawn()
            .context("the binary does not start")?;
        self.process_id.store(child.id(), Ordering::Relaxed);
        self.process = Some(child);
        Ok(())
    }

    /// Changes the configuration of a node that does not run.
    ///
    /// # Errors
    ///
    /// When it runs, or the file cannot be written.
    pub fn configure(&mut self, change: impl FnOnce(&mut NodeConfig)) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs", self.name());
        change(&mut self.config);
        Ok(fs::write(&self.config_file, self.config.render())?)
    }

    /// Removes the data of a node that does not run.
    ///
    /// # Errors
    ///
    /// When it runs, or has none.
    pub fn wipe(&self) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs", self.name());
        fs::remove_dir_all(&self.config.data_dir).context("no data directory to remove")
    }

    /// Has the binary run by this command, from the next start on, such as
    /// [`SmallDisk::entering`](crate::SmallDisk::entering).
    pub fn run_by(&mut self, wrapper: Vec<String>) {
        self.wrapper = wrapper;
    }

    fn command(&self, log: File) -> Result<Command> {
        let binary = crate::switchyard()?;
        let mut command = match self.wrapper.split_first() {
            None => Command::new(binary),
            Some((wrapper, arguments)) => {
                let mut command = Command::new(wrapper);
                command.args(arguments).arg(binary);
                command
            }
        };
        command
            // The node ends when its standard input does, even if the test was killed.
            .args(["serve", "--exit-with-parent", "--config"])
            .arg(&self.config_file)
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log);
        Ok(command)
    }

    /// Waits until `/readyz` says that it is ready.
    ///
    /// # Errors
    ///
    /// When its process ends, or it is not ready in time.
    pub fn wait_ready(&mut self) -> Result<()> {
        let name = self.name().to_owned();
        let mut ended = None;
        let ready = eventually(&format!("{name} to be ready"), PATIENCE, || {
            if let Some(status) = self.poll_exit()? {
                ended = Some(status);
                return Ok(());
            }
            let (status, body) = http::get(self.config.http, "/readyz")?;
            ensure!(status == 200, "{status} {body}");
            Ok(())
        });
        if let Some(status) = ended {
            bail!("{name} ended at its start: {status}");
        }
        ready
    }

    fn poll_exit(&mut self) -> Result<Option<ExitStatus>> {
        let process = self.process.as_mut().context("it does not run")?;
        Ok(process.try_wait()?)
    }

    /// Waits until the process ends by itself.
    ///
    /// # Errors
    ///
    /// When it does not run, or does not end in time: then it goes on.
    pub fn wait_exit(&mut self) -> Result<ExitStatus> {
        let what = format!("{} to end by itself", self.name());
        let status = eventually(&what, PATIENCE, || self.poll_exit()?.context("it runs"))?;
        self.kill();
        Ok(status)
    }

    /// Ends the process at once, as `kill -9` does. Nothing happens if it does not run.
    pub fn kill(&mut self) {
        self.process_id.store(0, Ordering::Relaxed);
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself, which is as good.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Asks the process to end, as service managers do, and waits for it.
    ///
    /// # Errors
    ///
    /// When it does not run, or does not end in time: then it is killed.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let status = self.wait_exit();
        self.kill();
        status
    }

    /// Stops the process in its tracks, as a machine that hangs does, until [`Self::resume`].
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Changes the configuration file with `edit`, and sends SIGHUP.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, or the process does not run.
    pub fn reload(&self, edit: impl FnOnce(String) -> String) -> Result<()> {
        let text = fs::read_to_string(&self.config_file)?;
        fs::write(&self.config_file, edit(text))?;
        self.signal(Signal::HUP)
    }

    /// Sends `signal` to the process.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.as_ref().context("it does not run")?;
        Ok(kill_process(Pid::from_child(process), signal)?)
    }

    /// Runs `switchyard ARGUMENTS --json` against this node's API.
    ///
    /// # Errors
    ///
    /// When the command fails or prints no JSON.
    pub fn query(&self, arguments: &[&str]) -> Result<Value> {
        let api = self.config.api.to_string();
        cli::json(arguments.iter().copied().chain(["--api", &api, "--json"]))
            .with_context(|| format!("asking {}", self.name()))
    }

    /// Runs `switchyard cluster ARGUMENTS` against this node's API, whatever comes of it.
    ///
    /// # Errors
    ///
    /// When it does not end.
    pub fn cluster(&self, arguments: &[&str]) -> Result<cli::Output> {
        let api = self.config.api.to_string();
        let line = ["cluster"].iter().chain(arguments).copied();
        cli::run(line.chain(["--api", &api]))
    }

    /// Waits until the node has logged `words`.
    ///
    /// # Errors
    ///
    /// When it has not, for [`PATIENCE`].
    pub fn wait_for_log(&self, words: &str) -> Result<()> {
        let what = format!("{} to log {words:?}", self.name());
        eventually(&what, PATIENCE, || {
            ensure!(self.log().contains(words), "it has not");
            Ok(())
        })
    }

    /// What the node has logged over all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        let log = fs::read(&self.log_file).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The end of what the node has logged over all its lives.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
