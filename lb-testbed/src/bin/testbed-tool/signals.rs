//! Signals of a process that is the first one of its PID namespace: those without a handler are ignored there, but they
//! can be waited for.

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

/// What asks a process to end.
pub struct Termination(SigSet);

impl Termination {
    /// To be called before there are other threads, which inherit that these signals are blocked.
    pub fn block() -> Result<Self> {
        let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD].into_iter().collect::<SigSet>();
        signals.thread_block().context("blocking signals")?;
        Ok(Self(signals))
    }

    /// Returns when a signal has come. Children that end meanwhile are forgotten.
    pub fn wait(&self) -> Result<()> {
        loop {
            if self.0.wait().context("waiting for a signal")? != Signal::SIGCHLD {
                return Ok(());
            }
            reap_ended()?;
        }
    }
}

fn reap_ended() -> Result<()> {
    loop {
        match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(()),
            told => told.context("waiting for children")?,
        };
    }
}
