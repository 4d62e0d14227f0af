//! BIRD 2 in a namespace: somebody else's router.

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
    /// With this configuration. It is up when this returns; its sessions may not be.
    pub fn start(testbed: &Testbed, namespace: &Namespace, config: &str) -> Result<Self> {
        let label = format!("{}.bird", namespace.short());
        let config = testbed.site().write(&format!("{label}.conf"), config)?;
        let control = testbed.dir().join(format!("{label}.ctl"));
        let process = launch(&label, namespace, &config, &control, &[])?;
        let bird = Self { process, namespace: namespace.clone(), config, control };
        bird.wait_up()?;
        Ok(bird)
    }

    /// What `birdc` prints for a command.
    pub fn ask(&self, command: &str) -> Result<String> {
        let mut birdc = self.namespace.command("birdc")?;
        birdc.arg("-r").arg("-s").arg(&self.control).args(command.split_whitespace());
        run(birdc, "")
    }

    /// All paths to a prefix.
    pub fn routes(&self, prefix: &str) -> Result<Vec<Route>> {
        // BIRD finds nothing, and fails, if there is none.
        Ok(self
            .ask(&format!("show route all for {prefix}"))
            .map(|text| route::of_bird(&text))
            .unwrap_or_default())
    }

    /// A command that changes something: `disable director1`.
    pub fn tell(&self, command: &str) -> Result<String> {
        let mut birdc = self.namespace.command("birdc")?;
        birdc.arg("-s").arg(&self.control).args(command.split_whitespace());
        run(birdc, "")
    }

    /// Has it read another configuration, softly.
    pub fn configure(&self, config: &str) -> Result<String> {
        std::fs::write(&self.config, config).context("writing BIRD's configuration")?;
        self.tell("configure")
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
    pub fn revive(&mut self) -> Result<()> {
        self.launch(&[])
    }

    /// The same for one that has its routes told again before it drops any (RFC 4724).
    pub fn recover(&mut self) -> Result<()> {
        self.launch(&["-R"])
    }

    fn launch(&mut self, extra: &[&str]) -> Result<()> {
        let label = self.process.label();
        self.process = launch(label, &self.namespace, &self.config, &self.control, extra)?;
        self.wait_up()
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    fn wait_up(&self) -> Result<()> {
        for _ in 0..250 {
            if self.ask("show status").is_ok_and(|told| told.contains("Daemon is up")) {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        bail!("BIRD does not come up; it wrote:\n{}", self.log())
    }
}

fn launch(
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
