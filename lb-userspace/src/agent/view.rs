//! All that an agent knows, and what it tells of it.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Instant};

use std::collections::BTreeSet;

use lb_common::{
    Addr, Verdict,
    maps::{Backend, ServiceKey, Traffic, backend_flags, delivery},
    roles,
    verdict::Fate,
};

use super::{Config, Wanted, log_news, reconcile::Reconciler};
use crate::{
    datapath::kernel::{Attachment, KernelTables, Stats},
    index,
    neigh::{NextHops, Reach},
    plan::PlannedService,
    report::{BackendReport, Count, Interface, ServiceReport, Share, Source, Status, VerdictReport},
    source::file::Load,
    translate,
};

pub struct View {
    started: Instant,
    directory: String,
    attachments: Vec<Attachment>,
    stats: Stats,
    reconciler: Reconciler<KernelTables>,
    wanted: Wanted,
    hops: Arc<NextHops>,
}

impl View {
    pub fn new(
        config: &Config,
        attachments: Vec<Attachment>,
        stats: Stats,
        reconciler: Reconciler<KernelTables>,
    ) -> Self {
        Self {
            started: Instant::now(),
            directory: config.source.display().to_string(),
            attachments,
            stats,
            reconciler,
            wanted: Wanted::default(),
            hops: Arc::default(),
        }
    }

    /// The source has changed. A broken one leaves everything as it is.
    /// Returns whose next hops are needed from now on.
    pub fn load(&mut self, options: translate::Options, load: Load) -> BTreeSet<IpAddr> {
        let cluster = load.and_then(|loaded| index::load_cluster(&loaded, options));
        let problems = match cluster {
            Ok(cluster) => {
                self.wanted.cluster = Arc::new(cluster);
                self.wanted.known = true;
                Vec::new()
            }
            Err(problems) => problems,
        };
        log_news(&self.wanted.problems, &problems);
        self.wanted.problems = problems;
        self.reconcile();
        self.reconciler.targets(&self.wanted.cluster)
    }

    pub fn set_hops(&mut self, hops: Arc<NextHops>) {
        self.hops = hops;
        self.reconcile();
    }

    pub fn rest(&mut self) {
        self.reconciler.rest();
    }

    /// Not before the source was good once, and every next hop was looked up:
    /// what is pinned from before is better than a plan that knows less.
    fn reconcile(&mut self) {
        let targets = self.reconciler.targets(&self.wanted.cluster);
        if self.wanted.known && targets.iter().all(|target| self.hops.contains_key(target)) {
            self.reconciler.run(&self.wanted.cluster, &self.hops);
        }
    }

    pub fn status(&self) -> Status {
        let me = self.reconciler.me();
        let plan = &self.reconciler.plan;
        let resolved = plan.backends.values().filter(|backend| is_reachable(backend)).count();
        Status {
            ready: self.reconciler.is_settled() && self.wanted.problems.is_empty(),
            node: me.node.to_string(),
            roles: role_names(me.roles),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: self.started.elapsed().as_secs(),
            generation: self.reconciler.generation,
            interfaces: self.attachments.iter().map(interface).collect(),
            source: Source { directory: self.directory.clone(), good: self.wanted.problems.is_empty() },
            services: Count { total: plan.services.len(), good: self.reconciler.proven.len() },
            backends: Count { total: plan.backends.len(), good: resolved },
            problems: self.problems(),
        }
    }

    fn problems(&self) -> Vec<String> {
        let me = &self.reconciler.me().node;
        let source = self.wanted.problems.iter().map(ToString::to_string);
        let shortages = self.reconciler.shortages.iter().map(ToString::to_string);
        let unknown = (self.wanted.known && !self.wanted.cluster.nodes.contains_key(me)).then(|| {
            format!("Node {me}: no such object; add it to the source, or start with its --node-name: other nodes refuse tunnels from, and send none to, a machine they do not know")
        });
        let used: BTreeSet<IpAddr> =
            self.reconciler.plan.backends.keys().map(|key| IpAddr::from(key.addr)).collect();
        let hops = self.hops.iter().filter(|(addr, _)| used.contains(addr));
        let unreachable = hops.filter_map(|(addr, reach)| match reach {
            Reach::Unreachable(reason) => Some(format!("backend {addr}: unreachable: {reason}")),
            Reach::Via(hop) if hop.dst_mac.is_none() => {
                Some(format!("backend {addr}: the next hop on {} does not answer", hop.interface))
            }
            _ => None,
        });
        let generic = self.attachments.iter().filter(|a| a.mode == crate::datapath::kernel::XdpMode::Generic);
        let generic = generic.map(|a| {
            format!("interface {}: XDP runs in generic mode, which is slow; --xdp-mode native needs a driver with XDP", a.interface)
        });
        source
            .chain(shortages)
            .chain(self.reconciler.failure.clone())
            .chain(unknown)
            .chain(unreachable)
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
        planned.ring.iter().for_each(|member| slots[usize::from(*member)] += 1);
        let share = |((backend, weight), slots): (&(_, u32), usize)| {
            let backend: &crate::plan::BackendKey = backend;
            Share { address: IpAddr::from(backend.addr), weight: *weight, slots }
        };
        ServiceReport {
            name: planned.name.to_string(),
            vip: IpAddr::from(key.addr),
            port: u16::from_be(key.port),
            protocol: protocol_name(key.protocol).into(),
            programmed: self.reconciler.proven.get(key).copied(),
            ring: planned.ring.len(),
            backends: planned.members.iter().zip(slots).map(share).collect(),
            endpoints: planned
                .endpoints
                .iter()
                .map(|e| std::net::SocketAddr::new(IpAddr::from(e.addr), u16::from_be(e.port)).to_string())
                .collect(),
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
            delivery: delivery_name(backend).into(),
            resolved: is_reachable(backend),
            next_hop: next_hop(self.hops.get(&address)),
            mtu: backend.mtu,
            packets: traffic.packets,
            bytes: traffic.bytes,
        }
    }

    pub fn verdicts(&self) -> Vec<VerdictReport> {
        let report = |verdict: Verdict| VerdictReport {
            reason: verdict.label().into(),
            fate: match verdict.fate() {
                Fate::Pass => "pass",
                Fate::Transmit => "transmit",
                Fate::Redirect => "redirect",
                Fate::Drop => "drop",
            }
            .into(),
            packets: self.stats.verdict(verdict).unwrap_or_default(),
            meaning: verdict.sentence().into(),
        };
        Verdict::all().map(report).collect()
    }
}

fn is_reachable(backend: &Backend) -> bool {
    backend.flags & (backend_flags::RESOLVED | backend_flags::LOCAL) != 0
}

fn interface(attachment: &Attachment) -> Interface {
    Interface {
        name: attachment.interface.clone(),
        xdp: attachment.mode.to_string(),
        adopted: attachment.adopted,
    }
}

fn role_names(bits: u32) -> Vec<String> {
    let names = [(roles::DIRECTOR, "director"), (roles::NODE, "node")];
    names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| (*name).to_owned()).collect()
}

fn protocol_name(number: u8) -> &'static str {
    if number == 6 { "tcp" } else { "udp" }
}

fn delivery_name(backend: &Backend) -> &'static str {
    if backend.flags & backend_flags::LOCAL != 0 {
        return "local";
    }
    let is_l2 = backend.delivery == delivery::L2 || backend.flags & backend_flags::FORCED_L2 != 0;
    if is_l2 { "l2" } else { "ipip" }
}

fn next_hop(reach: Option<&Reach>) -> String {
    match reach {
        None => "not looked up yet".into(),
        Some(Reach::Local) => "this machine".into(),
        Some(Reach::Unreachable(reason)) => format!("unreachable: {reason}"),
        Some(Reach::Via(hop)) => {
            let via = hop.gateway.map_or("on link".into(), |gateway| format!("via {gateway}"));
            let mac =
                hop.dst_mac.map_or("no answer".into(), |mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
            format!("{via} dev {} {mac}", hop.interface)
        }
    }
}
