//! A machine with a real agent.

use std::path::Path;

use anyhow::{Result, ensure};
use lb_testbed::{Machine, Process, Testbed};

use crate::attached::Attached;

pub struct Agent {
    pub machine: Machine,
    roles: &'static str,
    process: Process,
}

impl Agent {
    pub fn start(testbed: &Testbed, name: &str, roles: &'static str, source: &Path) -> Result<Self> {
        let machine = testbed.machine(name)?.clone();
        let process = testbed.start_agent(&machine, roles, source, &[])?;
        Ok(Self { machine, roles, process })
    }

    pub fn wait_ready(&mut self, testbed: &Testbed) -> Result<()> {
        testbed.wait_ready(&self.machine, &mut self.process)
    }

    /// `kill -9`
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// The next one in its place, in its roles or in others; returns when it
    /// is ready.
    pub fn restart(&mut self, testbed: &Testbed, roles: Option<&'static str>, source: &Path) -> Result<()> {
        self.kill()?;
        self.roles = roles.unwrap_or(self.roles);
        self.process = testbed.start_agent(&self.machine, self.roles, source, &[])?;
        self.wait_ready(testbed)
    }

    pub fn unload(&self, testbed: &Testbed) -> Result<()> {
        let pins = testbed.pin_dir(&self.machine);
        testbed.run_trigon_json(&self.machine, &["unload", "--pin-dir", &pins.to_string_lossy()])?;
        ensure!(!pins.exists(), "{} still exists", pins.display());
        self.has(&Attached { xdp: false, egress: 0 })
    }

    /// Is everything attached that its roles need, once?
    pub fn is_attached(&self) -> Result<()> {
        self.has(&Attached { xdp: true, egress: 1 })
    }

    /// Packets that left its programs by this way out.
    pub fn verdict(&self, testbed: &Testbed, name: &str) -> Result<u64> {
        Ok(testbed.read_verdicts(&self.machine)?.get(name).copied().unwrap_or_default())
    }

    fn has(&self, expected: &Attached) -> Result<()> {
        let there = Attached::to(&self.machine)?;
        ensure!(there == *expected, "{} has {there:?}, not {expected:?}", self.machine.name);
        Ok(())
    }
}
