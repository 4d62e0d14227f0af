//! A network namespace, and how to do things in it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};

use crate::{
    process::Process,
    run::{run, run_for_output},
    site::{NAMESPACES, Site},
    sys,
};

/// A network namespace of a testbed. Cheap to clone; it is the testbed that
/// creates and deletes it.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// What the testbed calls it: `director1`.
    short: String,
    /// What the system calls it: `tg1234x1-director1`.
    pub name: String,
    site: Arc<Site>,
}

impl Namespace {
    pub(crate) fn new(site: &Arc<Site>, short: &str) -> Self {
        let name = format!("{}-{short}", site.prefix.as_str());
        Self { short: short.to_owned(), name, site: site.clone() }
    }

    /// What it is called within the testbed.
    pub fn short_name(&self) -> &str {
        &self.short
    }

    /// Where the kernel shows it.
    pub fn path(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.name)
    }

    /// What to type before a command to have it run in here.
    pub fn enter_hint(&self) -> String {
        format!("nsenter --net={}", self.path().display())
    }

    /// A command that will run in here.
    pub fn command(&self, program: impl AsRef<Path>) -> Result<Command> {
        let mut command = Command::new(program.as_ref());
        sys::enter_on_start(&mut command, self.open_file()?);
        Ok(command)
    }

    /// Runs a program to its end: its stdout, or an error with its stderr.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        self.run_with_input(words, "")
    }

    /// Runs a program to its end with `input` on its stdin.
    pub fn run_with_input(&self, words: &[&str], input: &str) -> Result<String> {
        run(self.build_command(words)?, input).with_context(|| format!("in namespace {}", self.name))
    }

    /// Runs a program to its end, whatever its exit code.
    pub fn run_for_output(&self, words: &[&str]) -> Result<Output> {
        run_for_output(&mut self.build_command(words)?, "")
            .with_context(|| format!("in namespace {}", self.name))
    }

    /// Starts a program that goes on until its handle is dropped; it writes to
    /// `<label>.log` in the testbed's directory.
    pub fn spawn(&self, label: &str, program: impl AsRef<Path>, arguments: &[&str]) -> Result<Process> {
        let mut command = self.command(program)?;
        command.args(arguments);
        Process::spawn(&self.site, label, command)
    }

    /// Runs `ip`, the arguments in one string.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        let words: Vec<_> = std::iter::once("ip").chain(arguments.split_whitespace()).collect();
        self.run(&words)
    }

    /// Runs many `ip` commands, one a line, in one process.
    pub fn ip_batch(&self, lines: &str) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.run_with_input(&["ip", "-batch", "-"], lines).map(drop)
    }

    /// Has nftables read a rule set.
    pub fn load_nft_rules(&self, rules: &str) -> Result<()> {
        self.run_with_input(&["nft", "-f", "-"], rules).map(drop)
    }

    /// Sets kernel parameters below /proc/sys/net: `("ipv4/ip_forward", "1")`.
    pub fn write_sysctls(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.within(|| {
            settings.iter().try_for_each(|(name, value)| {
                let path = Path::new("/proc/sys/net").join(name);
                fs::write(&path, value).with_context(|| format!("writing {value} to {}", path.display()))
            })
        })
    }

    /// Runs `work` on a new thread in here: sockets that it opens are this namespace's.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        sys::on_thread_in(&self.open_file()?, work).with_context(|| format!("in namespace {}", self.name))
    }

    /// Runs `work` on a thread in here, beside the caller.
    pub fn spawn_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let file = self.open_file()?;
        Ok(thread::spawn(move || sys::enter_namespace(&file).and_then(|()| work())))
    }

    fn build_command(&self, words: &[&str]) -> Result<Command> {
        let (program, arguments) = words.split_first().context("no program given")?;
        let mut command = self.command(program)?;
        command.args(arguments);
        Ok(command)
    }

    fn open_file(&self) -> Result<File> {
        let path = self.path();
        File::open(&path).with_context(|| format!("opening the namespace {}", path.display()))
    }
}
