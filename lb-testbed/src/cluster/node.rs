//! A node: containerd, kubelet and kube-proxy in network, mount, PID, UTS and IPC namespaces of their own, with control
//! groups of their own.
//!
//! `testbed-tool kubernetes-node` is the first process of the PID namespace: when it is killed, the kernel kills all
//! others, containers included, and what was mounted is gone with the mount namespace.

mod config;

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};

use super::{
    cgroups,
    images::ClusterImage,
    parts::search_path,
    setup::{NodeSetup, Program},
};
use crate::{
    kubernetes::{ApiServer, KUBE_PROXY},
    namespace::Namespace,
    plan::Machine,
    process::Process,
    run::run,
    site::Site,
    testbed::Testbed,
};
use config::Config;

/// Where containerd listens, in the node.
const SOCKET: &str = "/run/containerd/containerd.sock";
/// What kubelet would set, for the whole machine. (Its flag for that, `--protect-kernel-defaults`, has it end instead.)
const KERNEL_DEFAULTS: [(&str, &str); 3] =
    [("vm/overcommit_memory", "1"), ("kernel/panic", "10"), ("kernel/panic_on_oops", "1")];

/// A node that runs; killed, with all its containers, when dropped (unless the testbed is to be kept).
#[derive(Debug)]
pub struct Node {
    pub name: String,
    process: Process,
    namespace: Namespace,
    tool: PathBuf,
    /// The file with its [`NodeSetup`].
    setup: PathBuf,
    /// Of kubelet.
    log: PathBuf,
    site: Arc<Site>,
}

impl Node {
    /// Starts the node on a machine, with these images; when it is ready, the API server says.
    pub fn start(
        testbed: &Testbed,
        machine: &Machine,
        api_server: &ApiServer,
        images: &[ClusterImage],
    ) -> Result<Self> {
        let dir = testbed.dir().join(&machine.name);
        let config = Config::new(testbed, machine, &dir);
        for kept in ["containerd", "kubelet", "cni", "log"] {
            create_dir(&dir.join(kept))?;
        }
        let setup = write_setup(&config, api_server, images, &dir)?;
        let (site, tool) = (Arc::clone(testbed.site()), testbed.tool_path()?);
        let namespace = machine.namespace.clone();
        let process = spawn(&site, &namespace, &machine.name, &tool, &setup)?;
        let log = dir.join("log/kubelet.log");
        Ok(Self { name: machine.name.clone(), process, namespace, tool, setup, log, site })
    }

    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Its own log, and the end of kubelet's.
    pub fn log(&self) -> String {
        let kubelet = fs::read_to_string(&self.log).unwrap_or_default();
        let from = kubelet.lines().count().saturating_sub(20);
        let tail: Vec<_> = kubelet.lines().skip(from).collect();
        format!("{}\nkubelet:\n{}", self.process.log(), tail.join("\n"))
    }

    /// Runs a line of shell as its root would: with its files and devices, but our processes.
    pub fn run(&self, line: &str) -> Result<String> {
        let mut command = self.namespace.command("nsenter")?;
        command.arg(format!("--target={}", self.process.id()));
        command.args(["--mount", "--uts", "--ipc", "--", "sh", "-ec", line]);
        command.env("PATH", env::join_paths(search_path())?);
        run(command, "").with_context(|| format!("on {}", self.name))
    }

    /// As if its power had failed.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        // With those of its former life, kubelet would take half a minute until it is ready.
        cgroups::remove(&self.namespace.name)
    }

    /// Starts it again after [`Self::kill`], with the files that it had.
    pub fn restart(&mut self) -> Result<()> {
        cgroups::create(&self.namespace.name)?;
        self.process = spawn(&self.site, &self.namespace, &self.name, &self.tool, &self.setup)?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.site.is_kept() {
            return;
        }
        if let Err(error) = self.kill() {
            eprintln!("{}: {error:#}", self.name);
        }
    }
}

fn spawn(site: &Arc<Site>, namespace: &Namespace, name: &str, tool: &Path, setup: &Path) -> Result<Process> {
    let mut command = namespace.command("unshare")?;
    command.args(["--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg(tool).arg("kubernetes-node").arg(setup);
    Process::spawn(site, name, command)
}

/// Writes all files that it starts with; the path of the last one.
fn write_setup(
    config: &Config<'_>,
    api_server: &ApiServer,
    images: &[ClusterImage],
    dir: &Path,
) -> Result<PathBuf> {
    let machine = config.machine;
    let kubeconfig = api_server.write_user_kubeconfig(&machine.name)?.display().to_string();
    let of_proxy = api_server.write_user_kubeconfig(KUBE_PROXY)?;
    let containerd = write(dir, "containerd.toml", &config.containerd())?;
    let kubelet = write(dir, "kubelet.json", &config.kubelet().to_string())?;
    let proxy = write(dir, "kube-proxy.json", &config.kube_proxy(&of_proxy).to_string())?;
    create_dir(&config.cni_dir())?;
    write(&config.cni_dir(), "10-pods.conflist", &config.pod_network().to_string())?;

    let log = |name: &str| dir.join("log").join(format!("{name}.log"));
    let service = |name: &'static str, arguments: &[&str]| {
        let (program, first) = api_server.programs().command(name);
        let words = first.into_iter().chain(arguments.iter().copied()).map(str::to_owned);
        let words = [program.display().to_string()].into_iter().chain(words).collect();
        Program { log: log(name), words }
    };
    let [v4, v6] = machine.addresses();
    let addresses = format!("{v4},{v6}");
    let of_kubelet = [
        "--config",
        &kubelet,
        "--kubeconfig",
        &kubeconfig,
        "--hostname-override",
        &machine.name,
        "--node-ip",
        &addresses,
    ];
    let directory = |name: &str, place: &str| (dir.join(name), PathBuf::from(place));
    let setup = NodeSetup {
        name: machine.name.clone(),
        hierarchies: cgroups::create(&machine.namespace.name)?,
        directories: vec![
            directory("containerd", "/var/lib/containerd"),
            directory("kubelet", "/var/lib/kubelet"),
            directory("cni", "/var/lib/cni"),
            directory("log", "/var/log"),
        ],
        pretended: KERNEL_DEFAULTS.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        scratch: dir.to_owned(),
        search_path: env::join_paths(search_path())?.to_string_lossy().into_owned(),
        runtime: Program {
            log: log("containerd"),
            words: ["containerd", "--config", &containerd].map(str::to_owned).into(),
        },
        socket: SOCKET.into(),
        images: images.iter().map(|image| image.archive()).collect(),
        services: vec![service("kubelet", &of_kubelet), service("kube-proxy", &["--config", &proxy])],
    };
    write(dir, "setup.json", &serde_json::to_string_pretty(&setup)?).map(PathBuf::from)
}

fn create_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))
}

fn write(dir: &Path, name: &str, text: &str) -> Result<String> {
    let path = dir.join(name);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path.display().to_string())
}
