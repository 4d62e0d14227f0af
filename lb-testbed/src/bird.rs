//! BIRD 2 in a namespace: a BGP speaker other than Trigon's, to test against.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::{
    namespace::Namespace,
    process::Process,
    route::{self, Route},
    run::run,
    testbed::Testbed,
};

/// A running BIRD, killed when dropped.
#[derive(Debug)]
pub struct Bird {
    process: Process,
    namespace: Namespace,
    config: PathBuf,
    control: PathBuf,
}

impl Bird {
    /// Starts BIRD with this configuration. It is up when this returns; its sessions may not be.
    pub fn start(testbed: &Testbed, namespace: &Namespace, config: &str) -> Result<Self> {
        let label = format!("{}.bird", namespace.short_name());
        let config = testbed.site().write(&format!("{label}.conf"), config)?;
        let control = testbed.dir().join(format!("{label}.ctl"));
        let process = spawn_bird(&label, namespace, &config, &control, &[])?;
        let bird = Self { process, namespace: namespace.clone(), config, control };
        bird.wait_up()?;
        Ok(bird)
    }

    /// What `birdc` prints for a command.
    pub fn run_query(&self, command: &str) -> Result<String> {
        let mut birdc = self.namespace.command("birdc")?;
        birdc.arg("-r").arg("-s").arg(&self.control).args(command.split_whitespace());
        run(birdc, "")
    }

    /// All paths to a prefix.
    pub fn routes(&self, prefix: &str) -> Result<Vec<Route>> {
        // BIRD finds nothing, and fails, if there is none.
        Ok(self
            .run_query(&format!("show route all for {prefix}"))
            .map(|text| route::parse_bird_routes(&text))
            .unwrap_or_default())
    }

    /// A command that changes something: `disable director1`.
    pub fn run_command(&self, command: &str) -> Result<String> {
        let mut birdc = self.namespace.command("birdc")?;
        birdc.arg("-s").arg(&self.control).args(command.split_whitespace());
        run(birdc, "")
    }

    /// Replaces its configuration file and reloads it (`birdc configure`).
    pub fn configure(&self, config: &str) -> Result<String> {
        std::fs::write(&self.config, config).context("writing BIRD's configuration")?;
        self.run_command("configure")
    }

    /// `kill -9`
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// The process, for signals.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Starts it again after [`Self::kill`].
    pub fn restart(&mut self) -> Result<()> {
        self.restart_with(&[])
    }

    /// The same with `-R`: it recovers by graceful restart (RFC 4724).
    pub fn restart_gracefully(&mut self) -> Result<()> {
        self.restart_with(&["-R"])
    }

    fn restart_with(&mut self, extra: &[&str]) -> Result<()> {
        let label = self.process.label();
        self.process = spawn_bird(label, &self.namespace, &self.config, &self.control, extra)?;
        self.wait_up()
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    fn wait_up(&self) -> Result<()> {
        for _ in 0..250 {
            if self.run_query("show status").is_ok_and(|told| told.contains("Daemon is up")) {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        bail!("BIRD does not come up; it wrote:\n{}", self.log())
    }
}

fn spawn_bird(
    label: &str,
    namespace: &Namespace,
    config: &std::path::Path,
    control: &std::path::Path,
    extra: &[&str],
) -> Result<Process> {
    let _ = std::fs::remove_file(control);
    let (config, control) = (config.display().to_string(), control.display().to_string());
    let words = [&["-f", "-c", &config, "-s", &control], extra].concat();
    namespace.spawn(label, "bird", &words)
}
