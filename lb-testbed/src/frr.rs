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

/// Running daemons, killed when dropped.
#[derive(Debug)]
pub struct Frr {
    /// In the order in which they must go.
    daemons: Vec<Process>,
    namespace: Namespace,
    dir: PathBuf,
    /// That it was started with.
    config: String,
}

impl Frr {
    /// With one configuration for all daemons. They are up when this returns; sessions may not be.
    pub fn start(testbed: &Testbed, namespace: &Namespace, config: &str) -> Result<Self> {
        let dir = testbed.dir().join(format!("{}.frr", namespace.short()));
        fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        // They drop their privileges, and have to write here.
        let mut chown = std::process::Command::new("chown");
        chown.arg("frr:frr").arg(&dir);
        run(chown, "")?;
        let (namespace, config) = (namespace.clone(), config.to_owned());
        let mut frr = Self { daemons: Vec::new(), namespace, dir, config };
        for daemon in ["zebra", "bfdd", "bgpd"] {
            let process = frr.launch(daemon)?;
            frr.daemons.insert(0, process);
            frr.wait_zebra()?;
        }
        frr.wait_configured()?;
        Ok(frr)
    }

    /// What `vtysh` prints for a command.
    pub fn ask(&self, command: &str) -> Result<String> {
        let mut vtysh = self.vtysh()?;
        vtysh.args(["-c", command]);
        run(vtysh, "")
    }

    /// The same for one that ends in `json`.
    pub fn ask_json(&self, command: &str) -> Result<Value> {
        let text = self.ask(command)?;
        serde_json::from_str(&text).with_context(|| format!("`{command}` printed `{text}`"))
    }

    /// All paths to a prefix.
    pub fn routes(&self, prefix: &str) -> Result<Vec<Route>> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        Ok(route::of_frr(&self.ask_json(&format!("show bgp {family} unicast {prefix} json"))?))
    }

    /// Lines of configuration, added to what there is.
    pub fn configure(&self, lines: &str) -> Result<()> {
        let path = self.dir.join("lines.conf");
        fs::write(&path, lines).with_context(|| format!("writing {}", path.display()))?;
        let mut vtysh = self.vtysh()?;
        vtysh.arg("-f").arg(&path);
        run(vtysh, "").map(drop)
    }

    /// What the daemons wrote.
    pub fn log(&self) -> String {
        self.daemons.iter().map(Process::log).collect()
    }

    /// `kill -9` for bgpd alone.
    pub fn kill(&mut self) -> Result<()> {
        self.bgpd().kill()
    }

    /// bgpd's process, for signals.
    pub fn id(&self) -> u32 {
        self.daemons[0].id()
    }

    /// Starts bgpd again after [`Self::kill`], configured as at first.
    pub fn revive(&mut self) -> Result<()> {
        *self.bgpd() = self.launch("bgpd")?;
        self.wait_configured()
    }

    /// It came last, and goes first.
    fn bgpd(&mut self) -> &mut Process {
        &mut self.daemons[0]
    }

    fn wait_configured(&self) -> Result<()> {
        self.wait_up()?;
        self.configure(&self.config)
    }

    fn vtysh(&self) -> Result<std::process::Command> {
        let mut command = self.namespace.command("vtysh")?;
        command.arg("--vty_socket").arg(&self.dir);
        Ok(command)
    }

    fn launch(&self, daemon: &str) -> Result<Process> {
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
        let label = format!("{}.{daemon}", self.namespace.short());
        self.namespace.spawn(&label, format!("{DAEMONS}/{daemon}"), &words)
    }

    /// Whoever does not find it tries again in ten seconds only, and is deaf until then.
    fn wait_zebra(&self) -> Result<()> {
        for _ in 0..250 {
            if self.ask("show zebra client summary").is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("zebra does not come up; it wrote:\n{}", self.log())
    }

    fn wait_up(&self) -> Result<()> {
        for _ in 0..250 {
            let clients = self.ask("show zebra client summary").unwrap_or_default();
            let are_clients = ["bgp", "bfd"].iter().all(|client| clients.contains(client));
            if are_clients && self.ask("show bgp summary").is_ok() && self.ask("show bfd peers").is_ok() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("FRR does not come up; it wrote:\n{}", self.log())
    }
}
