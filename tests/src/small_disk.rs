use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A file system in memory of a few megabytes, which a test can fill: whoever writes to it gets the
/// error that a full disk gives.
///
/// It is mounted in a user and mount namespace of its own, for which Linux usually asks no privileges;
/// a process sees it if it is started with [`Self::entering`]. It lasts as long as this value.
#[derive(Debug)]
pub struct SmallDisk {
    /// Keeps the namespaces.
    holder: Child,
    dir: PathBuf,
}

impl SmallDisk {
    /// Mounts one of `megabytes` on the directory `dir`, which it makes.
    ///
    /// # Errors
    ///
    /// When the system does not permit it.
    pub fn mount(dir: &Path, megabytes: u32) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let script =
            format!("mount -t tmpfs -o size={megabytes}m tmpfs \"$0\" && echo ready && exec cat");
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("no unshare (util-linux)")?;
        let mut line = String::new();
        if let Some(output) = &mut holder.stdout {
            BufReader::new(output).read_line(&mut line)?;
        }
        let disk = Self {
            holder,
            dir: dir.to_owned(),
        };
        ensure!(
            line == "ready\n",
            "the system permits no file system in a user namespace"
        );
        Ok(disk)
    }

    /// What to put before a command line so that the command sees the disk.
    #[must_use]
    pub fn entering(&self) -> Vec<String> {
        let target = self.holder.id().to_string();
        [
            "nsenter",
            "--target",
            &target,
            "--user",
            "--preserve-credentials",
            "--mount",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// Leaves no byte free.
    ///
    /// # Errors
    ///
    /// When there is no way to.
    pub fn fill(&self) -> Result<()> {
        // It ends when there is no room for more.
        self.run("! cat /dev/zero 2>/dev/null >\"$0/filler\"")
    }

    /// Gives back what [`Self::fill`] has taken.
    ///
    /// # Errors
    ///
    /// When there is no way to.
    pub fn free(&self) -> Result<()> {
        self.run("rm \"$0/filler\"")
    }

    /// Lets nobody write any more; or lets them again.
    ///
    /// # Errors
    ///
    /// When somebody has a file open for writing.
    pub fn set_read_only(&self, is_read_only: bool) -> Result<()> {
        match is_read_only {
            true => self.run("mount -o remount,ro \"$0\""),
            false => self.run("mount -o remount,rw \"$0\""),
        }
    }

    /// Runs a line of shell, in which `$0` is the directory, where the disk is seen.
    fn run(&self, script: &str) -> Result<()> {
        let entering = self.entering();
        let status = Command::new(&entering[0])
            .args(&entering[1..])
            .args(["sh", "-c", script])
            .arg(&self.dir)
            .status()
            .context("no nsenter (util-linux)")?;
        ensure!(status.success(), "{script}: {status}");
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
