//! Running a virtual machine, or a program on this one, with a time limit.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result};

use super::debian::Kernel;
use crate::shell::say;

/// Time limit in seconds, booting included: five times what a run takes, for
/// machines that are busy with other work.
pub const PATIENCE: u32 = 600;
/// Exit status of `timeout` if it had to end the program.
pub const HUNG: i32 = 124;

/// QEMU with a kernel. One CPU: without KVM, time passes unevenly on several.
pub fn qemu_command(kernel: &Kernel, initramfs: &Path, more_of_the_command_line: &str) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-accel", "tcg,thread=single", "-smp", "1", "-cpu", "max", "-m", "1024"]);
    command.args(["-display", "none", "-nodefaults", "-no-user-config", "-serial", "stdio", "-no-reboot"]);
    command.args(["-device", "isa-debug-exit,iobase=0x501,iosize=2"]);
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
    command.args(["-append", &format!("console=ttyS0 panic=-1 quiet {more_of_the_command_line}")]);
    command
}

/// Runs to the end, or for at most [`PATIENCE`] seconds. Returns the exit status
/// and the output, which is also in the file `log`.
pub fn run_with_timeout(command: &Command, name: &str, log: &Path) -> Result<(ExitStatus, String)> {
    say(format!("trying {name}"));
    let mut timed = Command::new("timeout");
    timed.args(["--kill-after=5", &PATIENCE.to_string()]);
    timed.arg(command.get_program()).args(command.get_args());
    timed.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let status = timed.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).status();
    let status = status.with_context(|| format!("cannot run {timed:?}"))?;
    Ok((status, String::from_utf8_lossy(&fs::read(log)?).into_owned()))
}
