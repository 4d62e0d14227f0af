//! Running other programs, with errors that name them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};

/// The workspace.
pub fn workspace_root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A line for people about what goes on, beside the results on stdout.
pub fn say(what: impl AsRef<str>) {
    eprintln!("xtask: {}", what.as_ref());
}

/// Run to the end; its output goes where ours goes.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} failed: {status}");
    }
    Ok(())
}

/// As [`run`], with the program's standard output on our standard error: ours is for results.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    run(command.stdout(std::io::stderr()))
}

/// Run to the end, with its output in hand.
pub fn output(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))
}

/// Standard output of a command that has to succeed.
pub fn stdout(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where a program is, if it is in the path; also in the directories of
/// system administration, which not every root shell has there.
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// The cargo that runs us, for everything that is not eBPF.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root());
    if std::env::var_os("CI").is_some() {
        // CI builds once. State for a second build is gigabytes, and once filled its disk.
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}

/// An error unless this process runs as root, which namespaces and BPF need.
pub fn need_root() -> Result<()> {
    // SAFETY: no arguments, no memory, cannot fail (geteuid(2)).
    if unsafe { libc::geteuid() } != 0 {
        bail!("this needs root, for network namespaces and BPF: run it with sudo, or in a root shell");
    }
    Ok(())
}
