//! Trigon's agents and controllers on the machines of a testbed, and its command line.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use lb_common::maps::names;
use serde_json::Value;

use crate::{capabilities, plan::Machine, process::Process, run, testbed::Testbed};

/// Long enough for the verifier of an old kernel in a slow virtual machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl Testbed {
    /// Starts an agent on a machine, reading objects from `source`; see
    /// [`Self::wait_ready`].
    pub fn start_agent(
        &self,
        machine: &Machine,
        roles: &str,
        source: &Path,
        extra: &[&str],
    ) -> Result<Process> {
        let mut command = self.agent_command(machine)?;
        command.arg("--socket").arg(self.socket_path(machine)).arg("agent");
        command.args(["--role", roles, "--interface", machine.interface, "--node-name", &machine.name]);
        command.arg("--source").arg(source);
        command.arg("--pin-dir").arg(self.pin_dir(machine));
        command.args(&self.config().agent_args).args(extra);
        Process::spawn(self.site(), &format!("{}.agent", machine.name), command)
    }

    /// `trigon`, with the capabilities that agents have here.
    fn agent_command(&self, machine: &Machine) -> Result<Command> {
        let trigon = self.trigon_path()?;
        let Some(capabilities) = &self.config().agent_capabilities else {
            return machine.namespace.command(trigon);
        };
        let words = capabilities::words_to_limit(capabilities);
        let (program, arguments) = words.split_first().context("no words")?;
        let mut command = machine.namespace.command(program)?;
        command.args(arguments).arg(trigon);
        Ok(command)
    }

    /// Starts a controller on a machine, of the machine's name; its log is `<label>.log`.
    pub fn start_controller(&self, machine: &Machine, label: &str, kubeconfig: &Path) -> Result<Process> {
        let kubeconfig = kubeconfig.display().to_string();
        let args = ["controller", "--identity", &machine.name, "--kubeconfig", &kubeconfig];
        self.start_trigon(machine, label, &args)
    }

    /// Starts `trigon` on a machine with these arguments; its log is `<label>.log`.
    pub fn start_trigon(&self, machine: &Machine, label: &str, args: &[&str]) -> Result<Process> {
        let mut command = machine.namespace.command(self.trigon_path()?)?;
        command.args(args);
        Process::spawn(self.site(), label, command)
    }

    /// Where a machine's agent listens for the command line.
    pub fn socket_path(&self, machine: &Machine) -> PathBuf {
        self.dir().join(format!("{}.sock", machine.name))
    }

    /// Where a machine's agent pins its maps and links.
    pub fn pin_dir(&self, machine: &Machine) -> PathBuf {
        self.bpffs().join(&machine.name)
    }

    /// Where its maps are.
    pub fn maps_dir(&self, machine: &Machine) -> PathBuf {
        self.pin_dir(machine).join(names::MAPS_DIR)
    }

    /// Runs `trigon` against a machine's agent, whatever its exit code.
    pub fn run_trigon(&self, machine: &Machine, arguments: &[&str]) -> Result<Output> {
        let mut command = machine.namespace.command(self.trigon_path()?)?;
        command.arg("--socket").arg(self.socket_path(machine)).args(arguments);
        run::run_for_output(&mut command, "")
    }

    /// What a `trigon` command prints with `--output json`.
    pub fn run_trigon_json(&self, machine: &Machine, arguments: &[&str]) -> Result<Value> {
        let output = self.run_trigon(machine, &[arguments, &["--output", "json"]].concat())?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        let shown = || format!("trigon {} on {}", arguments.join(" "), machine.name);
        ensure!(output.status.success(), "{}: {}: {}", shown(), output.status, stderr.trim());
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{} printed `{}`", shown(), String::from_utf8_lossy(&output.stdout)))
    }

    /// The `trigon status` of a machine as JSON, whatever its exit code.
    pub fn agent_status(&self, machine: &Machine) -> Result<Value> {
        let output = self.run_trigon(machine, &["status", "--output", "json"])?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!("status of {}: {}", machine.name, String::from_utf8_lossy(&output.stderr).trim())
        })
    }

    /// Packets by verdict of a machine's programs (`trigon drops --all`).
    pub fn read_verdicts(&self, machine: &Machine) -> Result<BTreeMap<String, u64>> {
        let listed = self.run_trigon_json(machine, &["drops", "--all"])?;
        let rows = listed.as_array().map(Vec::as_slice).unwrap_or_default();
        let row = |row: &Value| Some((row["reason"].as_str()?.to_owned(), row["packets"].as_u64()?));
        Ok(rows.iter().filter_map(row).collect())
    }

    /// How many packets the programs of all these machines counted under a verdict.
    pub fn sum_verdict<'a>(
        &self,
        machines: impl IntoIterator<Item = &'a Machine>,
        verdict: &str,
    ) -> Result<u64> {
        let counts = machines.into_iter().map(|machine| {
            let verdicts = self.read_verdicts(machine)?;
            verdicts.get(verdict).copied().with_context(|| format!("no verdict {verdict}"))
        });
        counts.sum()
    }

    /// Waits until a machine's agent says that it is ready and all of its backends
    /// are good: the first packet would be lost while it still looks for a neighbour.
    pub fn wait_ready(&self, machine: &Machine, agent: &mut Process) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.run_trigon_json(machine, &["status"]);
            if status.as_ref().is_ok_and(|status| {
                status["ready"] == true && status["backends"]["good"] == status["backends"]["total"]
            }) {
                return Ok(());
            }
            if !agent.is_running() {
                bail!("the agent of {} ended; it wrote:\n{}", machine.name, agent.log());
            }
            if Instant::now() > deadline {
                let last = status.map_or_else(|error| format!("{error:#}"), |status| status.to_string());
                bail!("{} not ready within {PATIENCE:?}: {last}; it wrote:\n{}", agent.label(), agent.log());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
