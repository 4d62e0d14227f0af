//! FRR in a namespace: zebra, bgpd and bfdd, without its service scripts.

use std::{fs, path::PathBuf, thread, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    namespace::Namespace,
    process::Process,
    route::{self, Route},
    run::run,
    testbed::Testbed,
};

const DAEMONS: &str = "/usr/lib/frr";
/// Of the package frr-pythontools.
const RELOAD: &str = "/usr/lib/frr/frr-reload.py";

/// Running daemons, killed when dropped.
#[derive(Debug)]
pub struct Frr {
    /// In the order in which they must go.
    daemons: Vec<Process>,
    namespace: Namespace,
    dir: PathBuf,
    /// The configuration that it was started with.
    config: String,
}

impl Frr {
    /// Starts all daemons with one configuration. They are up when this returns; sessions may not be.
    pub fn start(testbed: &Testbed, namespace: &Namespace, config: &str) -> Result<Self> {
        let dir = testbed.dir().join(format!("{}.frr", namespace.short_name()));
        fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        // They drop their privileges, and have to write here.
        let mut chown = std::process::Command::new("chown");
        chown.arg("frr:frr").arg(&dir);
        run(chown, "")?;
        let (namespace, config) = (namespace.clone(), config.to_owned());
        let mut frr = Self { daemons: Vec::new(), namespace, dir, config };
        for daemon in ["zebra", "bfdd", "bgpd"] {
            let process = frr.spawn_daemon(daemon)?;
            frr.daemons.insert(0, process);
            frr.wait_zebra()?;
        }
        frr.wait_configured()?;
        Ok(frr)
    }

    /// What `vtysh` prints for a command.
    pub fn run_vtysh(&self, command: &str) -> Result<String> {
        let mut vtysh = self.vtysh_command()?;
        vtysh.args(["-c", command]);
        run(vtysh, "")
    }

    /// The same for one that ends in `json`.
    pub fn run_vtysh_json(&self, command: &str) -> Result<Value> {
        let text = self.run_vtysh(command)?;
        serde_json::from_str(&text).with_context(|| format!("`{command}` printed `{text}`"))
    }

    /// All paths to a prefix.
    pub fn routes(&self, prefix: &str) -> Result<Vec<Route>> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        Ok(route::parse_frr_routes(
            &self.run_vtysh_json(&format!("show bgp {family} unicast {prefix} json"))?,
        ))
    }

    /// Lines of configuration, added to what there is.
    pub fn configure(&self, lines: &str) -> Result<()> {
        let path = self.dir.join("lines.conf");
        fs::write(&path, lines).with_context(|| format!("writing {}", path.display()))?;
        let mut vtysh = self.vtysh_command()?;
        vtysh.arg("-f").arg(&path);
        run(vtysh, "").map(drop)
    }

    /// Replaces the configuration by FRR's own program, which looks for what differs from the one that runs.
    pub fn reload(&self, config: &str) -> Result<()> {
        // From a file of another name, it would write a copy to this one.
        let path = self.dir.join("frr.conf");
        fs::write(&path, config).with_context(|| format!("writing {}", path.display()))?;
        let mut reload = self.namespace.command(RELOAD)?;
        reload.args(["--reload", "--stdout"]);
        for option in ["--vty_socket", "--confdir", "--rundir"] {
            reload.arg(option).arg(&self.dir);
        }
        reload.arg(&path);
        run(reload, "").map(drop)
    }

    /// What the daemons wrote.
    pub fn log(&self) -> String {
        self.daemons.iter().map(Process::log).collect()
    }

    /// `kill -9` for bgpd alone.
    pub fn kill_bgpd(&mut self) -> Result<()> {
        self.bgpd().kill()
    }

    /// bgpd's process, for signals.
    pub fn bgpd_pid(&self) -> u32 {
        self.daemons[0].id()
    }

    /// Starts a killed bgpd again, configured as at first.
    pub fn restart_bgpd(&mut self) -> Result<()> {
        *self.bgpd() = self.spawn_daemon("bgpd")?;
        self.wait_configured()
    }

    /// It was started last, so it is the first in `daemons`.
    fn bgpd(&mut self) -> &mut Process {
        &mut self.daemons[0]
    }

    fn wait_configured(&self) -> Result<()> {
        self.wait_up()?;
        self.configure(&self.config)
    }

    fn vtysh_command(&self) -> Result<std::process::Command> {
        let mut command = self.namespace.command("vtysh")?;
        command.arg("--vty_socket").arg(&self.dir);
        Ok(command)
    }

    fn spawn_daemon(&self, daemon: &str) -> Result<Process> {
        let file = |suffix: &str| self.dir.join(format!("{daemon}.{suffix}")).display().to_string();
        let zebra = self.dir.join("zserv.api").display().to_string();
        let sockets = self.dir.display().to_string();
        let mut words = vec!["--vty_socket", &sockets, "-z", &zebra];
        let (config, pid, bfd) = (file("conf"), file("pid"), file("sock"));
        fs::write(&config, "").with_context(|| format!("writing {config}"))?;
        words.extend(["-f", &config, "-i", &pid]);
        if daemon == "bfdd" {
            words.extend(["--bfdctl", &bfd]);
        }
        let label = format!("{}.{daemon}", self.namespace.short_name());
        self.namespace.spawn(&label, format!("{DAEMONS}/{daemon}"), &words)
    }

    /// Waits for zebra: a daemon that does not find it retries only after ten seconds.
    fn wait_zebra(&self) -> Result<()> {
        for _ in 0..250 {
            if self.run_vtysh("show zebra client summary").is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("zebra does not come up; it wrote:\n{}", self.log())
    }

    fn wait_up(&self) -> Result<()> {
        for _ in 0..250 {
            let clients = self.run_vtysh("show zebra client summary").unwrap_or_default();
            let are_clients = ["bgp", "bfd"].iter().all(|client| clients.contains(client));
            if are_clients
                && self.run_vtysh("show bgp summary").is_ok()
                && self.run_vtysh("show bfd peers").is_ok()
            {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("FRR does not come up; it wrote:\n{}", self.log())
    }
}
