//! A testbed that stands.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};

use crate::{
    address::{Dual, VIP},
    assemble::assemble_testbed,
    config::{Config, Layer},
    namespace::Namespace,
    plan::{Machine, MachineKind, Plan, Pod, client_network_address},
    reaper::{Reaper, reap_stale},
    router::{cut_rules, mend_rules, route_vips},
    run::run,
    site::{Site, locate_program},
};

/// Namespaces, links and routes; torn down when dropped, or when this process
/// ends in whatever way.
///
/// What runs in it goes with it, whether its [`Process`](crate::Process) handles are
/// dropped before or after.
#[derive(Debug)]
pub struct Testbed {
    site: Arc<Site>,
    config: Config,
    plan: Plan,
    // An Option so that `keep` can take it.
    reaper: Option<Reaper>,
}

impl Testbed {
    /// Builds it, after clearing away what dead processes left.
    pub fn new(config: Config) -> Result<Self> {
        reap_stale().context("clearing away stale testbeds")?;
        mount_bpffs()?;
        let site = Site::new(config.keep)?;
        let reaper = Reaper::start(&site.prefix)?;
        let plan = Plan::new(&config, &site)?;
        assemble_testbed(&config, &plan, &site.prefix.bpffs())?;
        let testbed = Self { site, config, plan, reaper: Some(reaper) };
        testbed.route_vips_via(&testbed.directors())?;
        Ok(testbed)
    }

    /// Leaves everything standing and running, until `testbed-tool down`.
    pub fn keep(mut self) -> Result<()> {
        self.site.keep()?;
        self.reaper.take().map_or(Ok(()), Reaper::disarm)
    }

    /// `tg<pid>x<n>`: what all names begin with, and what to give to `testbed-tool down`.
    pub fn prefix(&self) -> &str {
        self.site.prefix.as_str()
    }

    /// For its files; gone with it.
    pub fn dir(&self) -> &Path {
        &self.site.dir
    }

    /// Where agents pin their maps and links, each in a directory of its own.
    pub fn bpffs(&self) -> PathBuf {
        self.site.prefix.bpffs()
    }

    pub fn layer(&self) -> Layer {
        self.plan.layer
    }

    pub fn client(&self) -> &Namespace {
        &self.plan.client
    }

    pub fn router(&self) -> &Namespace {
        &self.plan.router
    }

    /// An address of the router that everybody knows a route to.
    pub(crate) fn router_address(&self) -> IpAddr {
        client_network_address(1).v4.into()
    }

    /// Only in layer 2.
    pub fn switch(&self) -> Option<&Namespace> {
        self.plan.switch.as_ref()
    }

    /// What the client sends from.
    pub fn client_addresses(&self) -> &[Dual] {
        &self.plan.client_addresses
    }

    /// Directors, then nodes.
    pub fn machines(&self) -> &[Machine] {
        &self.plan.machines
    }

    /// Those whose agents have this role, nodes in both roles too.
    pub fn directors(&self) -> Vec<&Machine> {
        self.plan.machines.iter().filter(|machine| machine.is_director()).collect()
    }

    pub fn nodes(&self) -> Vec<&Machine> {
        self.plan.machines.iter().filter(|machine| machine.kind == MachineKind::Node).collect()
    }

    pub fn machine(&self, name: &str) -> Result<&Machine> {
        let found = self.plan.machines.iter().find(|machine| machine.name == name);
        found.with_context(|| format!("no machine `{name}` in this testbed"))
    }

    /// In the order of nodes.
    pub fn pods(&self) -> &[Pod] {
        &self.plan.pods
    }

    pub fn pod(&self, name: &str) -> Result<&Pod> {
        let found = self.plan.pods.iter().find(|pod| pod.name == name);
        found.with_context(|| format!("no Pod `{name}` in this testbed"))
    }

    /// The node that a Pod is on.
    pub fn node_of(&self, pod: &Pod) -> Result<&Machine> {
        self.machine(&pod.node)
    }

    /// Has the router spread the VIPs over these directors (0 is `director1`) only.
    pub fn set_directors(&self, chosen: &[usize]) -> Result<()> {
        let all = self.directors();
        ensure!(chosen.iter().all(|&i| i < all.len()), "{chosen:?}: there are {} directors", all.len());
        let chosen: Vec<_> = chosen.iter().map(|&i| all[i]).collect();
        self.route_vips_via(&chosen)
    }

    /// Has the router spread the VIPs over these machines, directors or not.
    pub fn route_vips_via(&self, machines: &[&Machine]) -> Result<()> {
        route_vips(&self.plan.router, machines).context("routing the VIPs")
    }

    /// Makes a machine own the VIPs itself, as servers behind IPVS-DR do, so that
    /// servers can be started on it as in a Pod. Reached by `l2` only: kernels
    /// without ipip devices decapsulate nothing.
    pub fn make_bare_server(&self, machine: &Machine) -> Result<Pod> {
        let namespace = &machine.namespace;
        // No ARP for the VIPs: their traffic has to come by the directors.
        namespace.write_sysctls(&[("ipv4/conf/all/arp_ignore", "1"), ("ipv4/conf/all/arp_announce", "2")])?;
        let lines = VIP.with_prefix_lengths(32, 128).map(|vip| format!("address replace {vip} dev lo\n"));
        namespace.ip_batch(&lines.concat())?;
        Ok(self.host_pod(machine))
    }

    /// A machine itself, so that servers can be started on it as in a Pod: one
    /// with `hostNetwork`, say.
    pub fn host_pod(&self, machine: &Machine) -> Pod {
        Pod {
            name: machine.name.clone(),
            node: machine.name.clone(),
            namespace: machine.namespace.clone(),
            address: machine.address,
            port: "lo".to_owned(),
        }
    }

    /// Cuts a machine off (`up` is false), or reconnects it. The carrier and the
    /// routes stay: packets are lost without an error.
    pub fn set_link(&self, machine: &Machine, up: bool) -> Result<()> {
        let rules = if up { mend_rules(&machine.name) } else { cut_rules(&machine.name) };
        machine.upstream.load_nft_rules(&rules)
    }

    pub(crate) fn site(&self) -> &Arc<Site> {
        &self.site
    }

    pub(crate) fn trigon_path(&self) -> Result<PathBuf> {
        self.config.trigon.clone().map_or_else(|| locate_program("trigon", "TRIGON_BIN"), Ok)
    }

    pub(crate) fn tool_path(&self) -> Result<PathBuf> {
        self.config.tool.clone().map_or_else(|| locate_program("testbed-tool", "TESTBED_TOOL_BIN"), Ok)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }
}

/// Pinned objects need a BPF file system, which minimal systems don't mount.
fn mount_bpffs() -> Result<()> {
    // A second mount would hide what is pinned in the first.
    static MOUNTING: Mutex<()> = Mutex::new(());
    let _mounting = MOUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let mounts = fs::read_to_string("/proc/self/mounts").context("reading /proc/self/mounts")?;
    if mounts.lines().any(|line| line.split(' ').nth(1) == Some("/sys/fs/bpf")) {
        return Ok(());
    }
    let mut command = Command::new("mount");
    command.args(["-t", "bpf", "bpf", "/sys/fs/bpf"]);
    run(command, "").map(drop)
}
