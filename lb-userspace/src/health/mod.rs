//! Who is alive. What looks dead leaves a director's rings at once, and comes
//! back once it has answered for a while; objects say nothing of it.
//!
//! ```text
//! plan ──> targets ──> follow ──> prober (when is who alive?) ──> Healths ──> plan
//!            │           └──> sockets ──> wire (what a probe looks like)
//!            └───────> check ──> prober
//!                        └──> ask ──> http, echo (what a check looks like)
//! ```

mod check;
mod follow;
mod prober;
mod sockets;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use lb_common::maps::{self, ServiceKey};
use tokio::sync::watch;

pub use check::{Question, follow as follow_checks};
pub use follow::follow as follow_probes;

use crate::{
    model::{Cluster, DeliveryMode},
    names,
    neigh::{NextHops, Reach},
    plan::{self, BackendKey, Identity, Plan},
};

/// When to change one's mind, in answers that differ from it in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Lost ones until somebody counts as dead.
    pub fall: u32,
    /// Good ones until somebody counts as alive again.
    pub rise: u32,
}

/// How to probe nodes, or to check bare servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probing {
    /// From one probe to the next. Half of it is the time to answer for nodes,
    /// all of it for bare servers.
    pub interval: Duration,
    pub limits: Limits,
}

/// Whose health it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// A node, by one of the ways in which packets get there.
    Node(BackendKey),
    /// A bare server, in what it does for one service.
    Server(ServiceKey, BackendKey),
}

impl Subject {
    /// On whom it depends that a service's packets arrive at this backend.
    pub fn of(service: &ServiceKey, backend: &BackendKey) -> Self {
        if backend.bare { Self::Server(*service, *backend) } else { Self::node(backend) }
    }

    /// Of a backend that is a node.
    pub fn node(backend: &BackendKey) -> Self {
        match backend.mode {
            DeliveryMode::Ipip => Self::Node(*backend),
            // `l2` has no tunnel of its own.
            DeliveryMode::Auto | DeliveryMode::L2 | DeliveryMode::Gue => {
                Self::Node(BackendKey::fellow(backend.addr))
            }
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(backend) => {
                let tunnel = if backend.mode == DeliveryMode::Ipip { "ipip" } else { "gue" };
                write!(f, "backend {} by {tunnel}", IpAddr::from(backend.addr))
            }
            Self::Server(service, backend) => {
                write!(f, "bare server {} for {}", IpAddr::from(backend.addr), names::frontend(service))
            }
        }
    }
}

/// Those who look dead.
pub type Dead = BTreeSet<Subject>;

/// Of everybody who is asked.
pub type Healths = BTreeMap<Subject, Health>;

/// What is known of somebody's health.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    pub alive: bool,
    /// When that began, or was first supposed.
    pub since: Instant,
    /// How often it was asked, and did not answer.
    pub asked: u64,
    pub lost: u64,
    /// Of the last answer.
    pub round_trip: Option<Duration>,
    /// The last results in a row that speak against `alive`.
    against: u32,
}

impl Health {
    /// Alive until the contrary is known: who starts must not empty rings.
    pub fn new(now: Instant) -> Self {
        Self { alive: true, since: now, asked: 0, lost: 0, round_trip: None, against: 0 }
    }

    /// One more result: how long the answer took, or that there was none.
    pub fn note(&mut self, answer: Option<Duration>, limits: Limits, now: Instant) {
        self.asked += 1;
        self.lost += u64::from(answer.is_none());
        self.round_trip = answer.or(self.round_trip);
        if answer.is_some() == self.alive {
            self.against = 0;
            return;
        }
        self.against += 1;
        if self.against >= if self.alive { limits.fall } else { limits.rise } {
            *self = Self { alive: !self.alive, since: now, against: 0, ..*self };
        }
    }
}

/// Replaces what `out` tells of some of them.
fn publish(out: &watch::Sender<Healths>, healths: Healths, are_these: impl Fn(&Subject) -> bool) {
    out.send_modify(|all| {
        all.retain(|subject, _| !are_these(subject));
        all.extend(healths);
    });
}

/// The nodes to probe, and from where; the bare servers to check, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Targets {
    /// Our own addresses, at most one of each family.
    pub own: Vec<IpAddr>,
    pub nodes: BTreeSet<BackendKey>,
    pub servers: BTreeMap<Subject, Question>,
}

/// What a director knows of the ways to its backends.
pub struct Ways<'a> {
    pub hops: &'a NextHops,
    /// The entries of `BACKENDS`.
    pub backends: &'a BTreeMap<u16, maps::Backend>,
    /// Where our programs are: indices of devices.
    pub interfaces: &'a BTreeSet<u32>,
}

/// All nodes in the rings of a director, all that a node may hand packets on to
/// (`fellows`), but this machine; and all bare servers that are to be checked.
pub fn targets(
    cluster: &Cluster,
    me: &Identity,
    ways: &Ways<'_>,
    plan: &Plan,
    fellows: &BTreeSet<BackendKey>,
) -> Targets {
    let own = cluster.nodes.get(&me.node).map(|node| node.addresses.clone()).unwrap_or_default();
    let is_other = |key: &BackendKey| ways.hops.get(&IpAddr::from(key.addr)) != Some(&Reach::Local);
    let services = plan.services.iter().filter(|_| plan.is_director);
    let members = services.flat_map(|(service, planned)| {
        planned.members.iter().map(|(backend, _)| Subject::of(service, backend))
    });
    let nodes = members.filter_map(|subject| match subject {
        Subject::Node(key) => Some(key),
        Subject::Server(..) => None,
    });
    let nodes = nodes.chain(fellows.iter().copied()).filter(is_other).collect();
    let servers = if plan.is_director { servers(cluster, ways, plan) } else { BTreeMap::new() };
    Targets { own, nodes, servers }
}

fn servers(cluster: &Cluster, ways: &Ways<'_>, plan: &Plan) -> BTreeMap<Subject, Question> {
    let ids: BTreeMap<_, _> =
        ways.backends.iter().map(|(id, backend)| (BackendKey::of(backend), *id)).collect();
    let mut servers = BTreeMap::new();
    for service in cluster.services.values() {
        let key = plan::service_key(&service.frontend);
        let (Some(check), Some(planned)) = (&service.check, plan.services.get(&key)) else { continue };
        let to = SocketAddr::new(service.frontend.vip, service.frontend.port);
        for (backend, _) in planned.members.iter() {
            let reach = ways.hops.get(&IpAddr::from(backend.addr)).filter(|reach| ways.sees_checks(reach));
            let (Some(id), Some(reach)) = (ids.get(backend), reach) else { continue };
            let question = Question {
                check: check.clone(),
                to,
                mark: lb_common::check::mark(*id),
                interface: interface(reach),
            };
            servers.insert(Subject::of(&key, backend), question);
        }
    }
    servers
}

impl Ways<'_> {
    /// Do checks of a server that is reached so pass our program? They would
    /// take another way than traffic otherwise.
    fn sees_checks(&self, reach: &Reach) -> bool {
        match reach {
            Reach::Local => false,
            // Of two VLAN tags, the program would find one in the packet.
            Reach::Via(hop) => hop.tags.len() <= 1 && self.interfaces.contains(&hop.device),
            // There will be none.
            Reach::Unreachable(_) => true,
        }
    }
}

fn interface(reach: &Reach) -> Option<String> {
    match reach {
        Reach::Via(hop) => Some(hop.interface.clone()),
        Reach::Local | Reach::Unreachable(_) => None,
    }
}

#[cfg(test)]
mod tests;
