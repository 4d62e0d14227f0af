//! A program that runs beside us.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{site::Site, sys};

/// Bytes of a process's memory; `line` is one of those in `/proc/PID/status`: proc(5).
pub fn process_memory(pid: u32, line: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
    let kilobytes = value.and_then(|value| value.split_whitespace().next()).context("no such line")?;
    Ok(kilobytes.parse::<u64>()? << 10)
}

/// A running program, killed with all that it started when this is dropped
/// (unless the testbed is to be kept).
///
/// Nothing ties it to the thread that started it, as PR_SET_PDEATHSIG would:
/// if the whole process dies, the reaper kills everything in the namespaces.
#[derive(Debug)]
pub struct Process {
    label: String,
    child: Child,
    log: PathBuf,
    site: Arc<Site>,
}

impl Process {
    /// Both of its outputs go to its log.
    pub(crate) fn spawn(site: &Arc<Site>, label: &str, mut command: Command) -> Result<Self> {
        let (log, file) = open_log(site, label)?;
        let output = file.try_clone().context("duplicating a descriptor")?;
        command.stdin(Stdio::null()).stdout(output).stderr(file);
        Self::start(site, label, command, log)
    }

    /// Only stderr goes to its log: we talk to it by the other two.
    pub(crate) fn spawn_piped(site: &Arc<Site>, label: &str, mut command: Command) -> Result<Self> {
        let (log, file) = open_log(site, label)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        Self::start(site, label, command, log)
    }

    fn start(site: &Arc<Site>, label: &str, mut command: Command, log: PathBuf) -> Result<Self> {
        // Its own group: the terminal's ^C must reach us alone, and its children must be found.
        let child =
            command.process_group(0).spawn().with_context(|| format!("cannot start {label}: {command:?}"))?;
        Ok(Self { label: label.to_owned(), child, log, site: site.clone() })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn label(&self) -> &str {
        &self.label
    }

    /// What it has written so far, from this and earlier starts under the same label.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        if self.is_running() {
            sys::kill_group(self.id())?;
            self.child.wait().with_context(|| format!("waiting for {}", self.label))?;
        }
        Ok(())
    }

    /// SIGTERM; how it ended, or an error if it had to be killed.
    pub fn terminate(&mut self, patience: Duration) -> Result<ExitStatus> {
        if self.is_running() {
            sys::terminate_group(self.id())?;
        }
        let status = self.wait(patience);
        if status.is_err() {
            self.kill()?;
        }
        status
    }

    /// Waits for it to end by itself.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) =
                self.child.try_wait().with_context(|| format!("waiting for {}", self.label))?
            {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("{} did not end within {patience:?}; it wrote:\n{}", self.label, self.log())
    }

    /// Both ends to talk to it, of one started with [`Self::spawn_piped`]; once.
    pub(crate) fn take_pipes(&mut self) -> Result<(ChildStdin, ChildStdout)> {
        let pipes = self.child.stdin.take().zip(self.child.stdout.take());
        pipes.with_context(|| format!("{} has no pipes", self.label))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.site.is_kept() {
            return;
        }
        if let Err(error) = self.kill() {
            eprintln!("{}: {error:#}", self.label);
        }
    }
}

fn open_log(site: &Site, label: &str) -> Result<(PathBuf, File)> {
    let path = site.dir.join(format!("{label}.log"));
    let file = File::options().create(true).append(true).open(&path);
    file.with_context(|| format!("opening {}", path.display())).map(|file| (path, file))
}
