//! Running `vm-smoke`, in a virtual machine or beside us.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result};

use super::{debian::Kernel, table::Outcome};
use crate::shell::say;

/// Seconds for all of it, booting included: ten times what it takes, for
/// machines that have more to do.
const PATIENCE: &str = "180";
/// What QEMU ends with when `vm-smoke` passed (`guest.rs` there).
const PASSED: i32 = 33;

/// Boot a kernel. One CPU: without KVM, time passes unevenly on several.
pub fn boot(kernel: &Kernel, initramfs: &Path) -> Result<Outcome> {
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-accel", "tcg,thread=single", "-smp", "1", "-cpu", "max", "-m", "1024"]);
    command.args(["-display", "none", "-nodefaults", "-no-user-config", "-serial", "stdio", "-no-reboot"]);
    command.args(["-device", "isa-debug-exit,iobase=0x501,iosize=2"]);
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
    command.args(["-append", "console=ttyS0 panic=-1 quiet"]);
    let log = initramfs.with_file_name(format!("{}.log", kernel.version));
    watch(&mut command, &kernel.version, &log, PASSED)
}

/// Run to the end, at most as long as we have patience.
pub fn watch(command: &mut Command, name: &str, log: &Path, passed: i32) -> Result<Outcome> {
    say(format!("trying {name}"));
    let mut timed = Command::new("timeout");
    timed.args(["--kill-after=5", PATIENCE]).arg(command.get_program()).args(command.get_args());
    timed.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let file = File::create(log).with_context(|| format!("creating {}", log.display()))?;
    let start = Instant::now();
    let status = timed.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).status();
    let status = status.with_context(|| format!("cannot run {timed:?}"))?;
    let ended = match status.code() {
        Some(code) if code == passed => None,
        Some(124) => Some(format!("it hung: not done within {PATIENCE} s")),
        Some(0) => Some("the kernel panicked".to_owned()),
        _ => Some(format!("it failed ({status})")),
    };
    let said = String::from_utf8_lossy(&fs::read(log)?).into_owned();
    Ok(Outcome::new(name, &said, start.elapsed(), ended.map(|why| format!("{why}; see {}", log.display()))))
}
