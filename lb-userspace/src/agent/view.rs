//! All that an agent knows, and what it tells of it.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Instant};

use std::collections::BTreeSet;

use lb_common::{
    Addr, Verdict,
    maps::{Backend, ServiceKey, Traffic, backend_flags},
};

use tokio::sync::Notify;
use tracing::info;

use super::{
    Config, Wanted, announcer::Heard, announcing::Announcing, liveness::Liveness, log_news, reach,
    reconcile::Reconciler,
};
use crate::{
    announce::Announcements,
    bgp::{PeerStatus, config::Leaving},
    datapath::kernel::{Attachment, KernelTables, Options, Stats, indices},
    explain::story::Known,
    health::{self, Healths, Targets, Ways},
    index,
    l2::VipStatus,
    model::Cluster,
    names,
    neigh::{NextHop, NextHops, Reach},
    plan::{self, BackendKey, Identity, PlannedService},
    pmtu::{self, PathMtus},
    report::{BackendReport, Count, Interface, ServiceReport, Share, Source, Status, VerdictReport},
    source::file::Load,
    translate,
};

pub struct View {
    started: Instant,
    directory: String,
    options: Options,
    attachments: Vec<Attachment>,
    /// The indices of our interfaces.
    devices: BTreeSet<u32>,
    stats: Stats,
    reconciler: Reconciler<KernelTables>,
    wanted: Wanted,
    /// As the kernel has them.
    kernel_hops: Arc<NextHops>,
    path_mtus: PathMtus,
    /// Both together.
    hops: Arc<NextHops>,
    liveness: Liveness,
    /// Nodes that packets may be handed on to: those that were in a ring since we
    /// know of rings.
    fellows: BTreeSet<BackendKey>,
    /// Whom to probe, as of the last plan.
    probed: Targets,
    announcing: Announcing,
}

impl View {
    pub fn new(
        config: &Config,
        attachments: Vec<Attachment>,
        stats: Stats,
        reconciler: Reconciler<KernelTables>,
        heard: Heard,
    ) -> Self {
        let fellows = reconciler.state.former_owners();
        Self {
            started: Instant::now(),
            directory: config.source.display().to_string(),
            options: config.datapath.clone(),
            attachments,
            devices: indices(&config.datapath.interfaces),
            stats,
            reconciler,
            wanted: Wanted::default(),
            kernel_hops: Arc::default(),
            path_mtus: PathMtus::default(),
            hops: Arc::default(),
            liveness: Liveness::default(),
            fellows,
            probed: Targets::default(),
            announcing: Announcing::new(config.announcing.pace, heard),
        }
    }

    pub fn me(&self) -> &Identity {
        self.reconciler.me()
    }

    pub fn cluster(&self) -> &Cluster {
        &self.wanted.cluster
    }

    /// What the programs were loaded with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn known(&self) -> Known<'_> {
        let Reconciler { state, plan, .. } = &self.reconciler;
        Known { state, plan, cluster: &self.wanted.cluster, hops: &self.hops }
    }

    /// The source has changed. A broken one leaves everything as it is.
    /// Returns whose next hops are needed from now on.
    pub fn load(&mut self, options: translate::Options, load: Load) -> BTreeSet<IpAddr> {
        let before = &self.wanted.cluster;
        let (problems, refused) = match load.and_then(|loaded| index::load_cluster(&loaded, options, before))
        {
            Ok((cluster, refused)) => {
                self.wanted.cluster = Arc::new(cluster);
                self.wanted.known = true;
                (Vec::new(), refused)
            }
            Err(problems) => (problems, std::mem::take(&mut self.wanted.refused)),
        };
        log_news(&self.wanted.problems, &problems);
        log_news(&self.wanted.refused, &refused);
        (self.wanted.problems, self.wanted.refused) = (problems, refused);
        self.reconcile();
        plan::targets(&self.wanted.cluster)
    }

    pub fn set_hops(&mut self, hops: Arc<NextHops>) {
        self.kernel_hops = hops;
        self.combine_hops();
    }

    /// A router tells of a path MTU.
    pub fn learn(&mut self, report: &pmtu::Report) {
        if self.path_mtus.learn(report, &self.kernel_hops, Instant::now()) {
            info!(target = %report.target, mtu = report.mtu, "a router tells of a smaller path MTU");
            self.combine_hops();
        }
    }

    fn combine_hops(&mut self) {
        self.hops = self.path_mtus.applied(&self.kernel_hops);
        self.reconcile();
    }

    /// The time has come that [`View::due`] named: plan again.
    pub fn proceed(&mut self) {
        self.announcing.changed();
        if self.reconciler.plan.due.is_some_and(|due| due <= Instant::now()) {
            self.reconciler.plan.due = None;
            self.reconcile();
        }
    }

    /// New orders for the speakers, if there is anything new.
    pub fn orders(&mut self) -> Option<Announcements> {
        self.announcing.orders(&self.wanted.cluster, &self.reconciler, Instant::now())
    }

    /// Drain, or come back.
    pub fn leave(&mut self, leave: bool) {
        self.announcing.leave(leave, Instant::now());
    }

    pub fn leaving(&self, now: Instant) -> Leaving {
        self.announcing.leaving(now)
    }

    /// The same, but not at its end before sessions are closed.
    pub fn left(&self, now: Instant) -> Leaving {
        self.announcing.left(now)
    }

    /// Tells that somebody else has changed something here.
    pub fn woken(&self) -> Arc<Notify> {
        self.announcing.woken()
    }

    pub fn peers(&self) -> Vec<PeerStatus> {
        self.announcing.peers()
    }

    pub fn l2(&self) -> Vec<VipStatus> {
        self.announcing.l2()
    }

    /// When there will be something to do, even if nothing changes.
    pub fn due(&self) -> Option<Instant> {
        [self.reconciler.plan.due, self.announcing.due(Instant::now())].into_iter().flatten().min()
    }

    /// Who is dead leaves the rings, who is back returns; all else can wait.
    pub fn set_healths(&mut self, healths: Healths) {
        if self.liveness.set(healths) {
            self.reconcile();
        }
    }

    pub fn probed(&self) -> &Targets {
        &self.probed
    }

    pub fn rest(&mut self) {
        if self.path_mtus.expire(Instant::now()) {
            self.combine_hops();
        }
        if self.reconciler.rest() {
            self.announcing.changed();
        }
    }

    /// Not before the source was good once, and every next hop was looked up:
    /// what is pinned from before is better than a plan that knows less.
    fn reconcile(&mut self) {
        let targets = plan::targets(&self.wanted.cluster);
        self.announcing.changed();
        if self.wanted.known && targets.iter().all(|target| self.hops.contains_key(target)) {
            self.reconciler.run(&self.wanted.cluster, &self.hops, self.liveness.avoided());
            let (me, plan) = (self.reconciler.me(), &self.reconciler.plan);
            let ways = Ways {
                hops: &self.hops,
                backends: &self.reconciler.state.backends,
                interfaces: &self.devices,
            };
            self.fellows.extend(plan.services.values().flat_map(|planned| planned.owners.iter().copied()));
            self.fellows.retain(|key| plan.backends.contains_key(key));
            self.probed = health::targets(&self.wanted.cluster, me, &ways, plan, &self.fellows);
        }
    }

    pub fn status(&self) -> Status {
        let me = self.reconciler.me();
        let plan = &self.reconciler.plan;
        let is_good = |(key, backend): &(&BackendKey, &Backend)| {
            reach::is_known(backend) && self.liveness.answers(key, plan)
        };
        let reachable = plan.backends.iter().filter(is_good).count();
        Status {
            ready: self.reconciler.is_settled() && self.wanted.problems.is_empty(),
            node: me.node.to_string(),
            roles: names::roles(me.roles),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: self.started.elapsed().as_secs(),
            generation: self.reconciler.generation,
            interfaces: self.attachments.iter().map(interface).collect(),
            source: Source { directory: self.directory.clone(), good: self.wanted.problems.is_empty() },
            services: Count { total: plan.services.len(), good: self.reconciler.proven.len() },
            backends: Count { total: plan.backends.len(), good: reachable },
            problems: self.problems(),
            warnings: self.warnings(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let on_uplink = |hop: &&NextHop| self.attachments.iter().any(|a| a.interface == hop.interface);
        let hops = self.kernel_hops.values().filter_map(|reach| match reach {
            Reach::Via(hop) => Some(hop),
            _ => None,
        });
        let uplink = hops.filter(on_uplink).map(|hop| hop.mtu).max().unwrap_or_default();
        let mut warnings = pmtu::warnings(&self.reconciler.plan.backends, uplink);
        warnings.extend(self.announcing.warnings(Instant::now()));
        warnings
    }

    fn problems(&self) -> Vec<String> {
        let me = &self.reconciler.me().node;
        let source = self.wanted.problems.iter().chain(&self.wanted.refused).map(ToString::to_string);
        let shortages = self.reconciler.shortages.iter().map(ToString::to_string);
        let unknown = (self.wanted.known && !self.wanted.cluster.nodes.contains_key(me)).then(|| {
            format!("Node {me}: no such object; add it to the source, or start with its --node-name: other nodes refuse tunnels from, and send none to, a machine they do not know")
        });
        let generic = self.attachments.iter().filter(|a| a.mode == crate::datapath::kernel::XdpMode::Generic);
        let generic = generic.map(|a| {
            format!("interface {}: XDP runs in generic mode, which is slow; --xdp-mode native needs a driver with XDP", a.interface)
        });
        source
            .chain(shortages)
            .chain(self.reconciler.failure.clone())
            .chain(unknown)
            .chain(reach::problems(&self.reconciler.plan.backends, &self.hops))
            .chain(self.liveness.problems(&self.reconciler.plan))
            .chain(self.announcing.problems(&self.wanted.cluster, self.me()))
            .chain(generic)
            .collect()
    }

    pub fn services(&self) -> Vec<ServiceReport> {
        self.reconciler.plan.services.iter().map(|(key, planned)| self.service(key, planned)).collect()
    }

    fn service(&self, key: &ServiceKey, planned: &PlannedService) -> ServiceReport {
        let entry = self.reconciler.service(key);
        let traffic = entry.and_then(|entry| self.stats.service(entry.id).ok()).unwrap_or_default();
        let mut slots = vec![0; planned.members.len()];
        planned.live.iter().for_each(|member| slots[usize::from(*member)] += 1);
        let share = |((backend, weight), slots): (&(_, u32), usize)| {
            let backend: &BackendKey = backend;
            Share { address: IpAddr::from(backend.addr), weight: *weight, slots }
        };
        ServiceReport {
            name: planned.name.to_string(),
            vip: IpAddr::from(key.addr),
            port: u16::from_be(key.port),
            protocol: names::protocol(key.protocol).into(),
            programmed: self.reconciler.proven.get(key).copied(),
            ring: planned.ring.len(),
            backends: planned.members.iter().zip(slots).map(share).collect(),
            endpoints: planned
                .endpoints
                .iter()
                .map(|e| std::net::SocketAddr::new(IpAddr::from(e.addr), u16::from_be(e.port)).to_string())
                .collect(),
            source_ranges: planned.policy.ranges.iter().map(ToString::to_string).collect(),
            affinity_seconds: Some(planned.policy.affinity).filter(|seconds| *seconds > 0),
            new_flows_per_second: Some(planned.policy.new_flows).filter(|flows| *flows > 0),
            packets: traffic.packets,
            bytes: traffic.bytes,
        }
    }

    pub fn backends(&self) -> Vec<BackendReport> {
        let names: BTreeMap<Addr, &str> = self
            .wanted
            .cluster
            .nodes
            .values()
            .flat_map(|node| node.addresses.iter().map(|addr| (Addr::from(*addr), &*node.name)))
            .collect();
        let backends = self.reconciler.state.backends.iter();
        backends
            .map(|(id, backend)| self.backend(*id, backend, names.get(&backend.outer_dst).copied()))
            .collect()
    }

    fn backend(&self, id: u16, backend: &Backend, node: Option<&str>) -> BackendReport {
        let address = IpAddr::from(backend.outer_dst);
        let traffic = self.stats.backend(id).unwrap_or_else(|_| Traffic::default());
        let is_bare = backend.flags & backend_flags::BARE != 0;
        BackendReport {
            id,
            address,
            node: node.filter(|_| !is_bare).map(ToOwned::to_owned),
            delivery: names::delivery(backend).into(),
            resolved: reach::is_known(backend),
            next_hop: names::next_hop(self.hops.get(&address)),
            mtu: backend.mtu,
            health: self.liveness.of(&BackendKey::of(backend), &self.reconciler.plan),
            packets: traffic.packets,
            bytes: traffic.bytes,
        }
    }

    pub fn verdicts(&self) -> Vec<VerdictReport> {
        let report = |verdict: Verdict| VerdictReport {
            reason: verdict.label().into(),
            fate: names::fate(verdict.fate()).into(),
            packets: self.stats.verdict(verdict).unwrap_or_default(),
            meaning: verdict.sentence().into(),
            remedy: verdict.remedy().map(Into::into),
        };
        Verdict::all().map(report).collect()
    }
}

fn interface(attachment: &Attachment) -> Interface {
    Interface {
        name: attachment.interface.clone(),
        xdp: attachment.mode.to_string(),
        adopted: attachment.adopted,
    }
}
