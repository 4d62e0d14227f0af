//! Running a machine, or something beside us, with patience.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result};

use super::debian::Kernel;
use crate::shell::say;

/// Seconds for all of it, booting included: ten times what it takes, for
/// machines that have more to do.
pub const PATIENCE: u32 = 180;
/// What `timeout` ends with if it had to end the other.
pub const HUNG: i32 = 124;

/// QEMU with a kernel. One CPU: without KVM, time passes unevenly on several.
pub fn qemu(kernel: &Kernel, initramfs: &Path, more_of_the_command_line: &str) -> Command {
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-accel", "tcg,thread=single", "-smp", "1", "-cpu", "max", "-m", "1024"]);
    command.args(["-display", "none", "-nodefaults", "-no-user-config", "-serial", "stdio", "-no-reboot"]);
    command.args(["-device", "isa-debug-exit,iobase=0x501,iosize=2"]);
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
    command.args(["-append", &format!("console=ttyS0 panic=-1 quiet {more_of_the_command_line}")]);
    command
}

/// Run to the end, at most as long as we have patience; how it ended, and what
/// it said, which is also in `log`.
pub fn watch(command: &Command, name: &str, log: &Path) -> Result<(ExitStatus, String)> {
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
