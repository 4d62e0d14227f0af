//! What a running agent tells about itself: the bodies of its API, and of
//! `--output json`.

pub mod explain;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::protocols::bgp::config::Leaving;

/// `trigon status`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AgentStatus {
    /// The data path holds what the objects said when they were good last, read back from the
    /// kernel; all uplinks are up; and a director reaches a backend, if it has any.
    pub ready: bool,
    /// Ready, but something of `problems` needs a person.
    pub degraded: bool,
    pub node: String,
    pub roles: Vec<String>,
    pub version: String,
    /// Of the agent; the data path may be older.
    pub uptime_seconds: u64,
    /// The plan that changed a service last.
    pub generation: u32,
    pub interfaces: Vec<InterfaceReport>,
    pub source: SourceReport,
    pub services: Count,
    pub backends: Count,
    /// An older agent does not tell.
    #[serde(default)]
    pub handed_on: HandedOn,
    /// What is wrong, in full sentences; empty if all is well.
    pub problems: Vec<String>,
    /// What works, but worse than it could; `ready` does not depend on it.
    pub warnings: Vec<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct InterfaceReport {
    pub name: String,
    /// `native`, or `generic`, which is slower.
    pub xdp: String,
    /// The link was there before this agent, which gave it a new program.
    pub adopted: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SourceReport {
    /// A directory; or `kube`, and the address of the API server.
    pub place: String,
    /// False: some of its objects are not in effect, or in their last good version, or it is away;
    /// `problems` says why.
    pub good: bool,
}

/// How many of how many are as they should be.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Count {
    pub total: usize,
    /// Services: programmed and proven. Backends: next hop known, and not dead.
    pub good: usize,
}

/// Packets of flows that this node did not know, or was asked for, since its maps were made.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct HandedOn {
    /// They took a second hop: to a former owner, back to who searched, or to where the flow was found.
    pub second_hop: u64,
    /// A search found the flow here, as the first node that was asked, the second, and so on.
    pub found: Vec<u64>,
    /// A search ended here without one who knows the flow.
    pub nobody: u64,
    /// Dropped, because more came in a second than are searched for.
    pub limited: u64,
    /// Dropped, because only a node that does not answer may know the flow.
    pub dead_owner: u64,
}

/// A line of `trigon services`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ServiceReport {
    pub name: String,
    pub vip: IpAddr,
    pub port: u16,
    pub protocol: String,
    /// kube-proxy carries it: packets to this port of a VIP of ours are passed to the kernel.
    pub kube_proxy: bool,
    /// The generation read back from the kernel; none: not programmed yet.
    pub programmed: Option<u32>,
    /// Slots of its ring; 0 if this machine is no director, or it has no backend.
    pub ring: usize,
    pub backends: Vec<RingShare>,
    /// On a node, the slots that got another owner since the agent started.
    #[serde(default)]
    pub slots_moved: usize,
    /// On a node, how many others may be asked for flows of a slot, at most: former owners, and those who may have had
    /// the slot for a time.
    #[serde(default)]
    pub history_depth: usize,
    /// On this node, those that take new connections.
    pub endpoints: Vec<String>,
    /// On this node, those that keep their connections and get no new ones.
    pub draining: Vec<String>,
    /// Who may connect; empty: everybody.
    pub source_ranges: Vec<String>,
    /// For how long a client that was idle gets to the same endpoint again.
    pub affinity_seconds: Option<u32>,
    /// How many flows may begin on this machine in a second: its share of the limit.
    pub new_flows_per_second: Option<u32>,
    pub packets: u64,
    pub bytes: u64,
}

/// A backend's part of a ring.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RingShare {
    pub address: IpAddr,
    /// Number of endpoints that take new connections; if there are none anywhere, of those that drain.
    pub weight: u32,
    pub slots: usize,
}

/// A line of `trigon backends`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BackendReport {
    /// Index of `BACKENDS`.
    pub id: u16,
    pub address: IpAddr,
    /// Node that has the address; none for a bare server.
    pub node: Option<String>,
    /// `l2`, `ipip`, `gue`, or `local`.
    pub delivery: String,
    pub resolved: bool,
    /// How it is reached, or why it is not.
    pub next_hop: String,
    /// Bytes of IP packet.
    pub mtu: u16,
    /// What its probes say, or the checks of a bare server, one for each
    /// service that it is behind; empty if it is neither probed nor checked.
    pub health: Vec<HealthReport>,
    pub packets: u64,
    pub bytes: u64,
}

/// How a backend has answered probes or checks so far.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HealthReport {
    /// The service that a bare server was checked for: `tcp 192.0.2.10:80`.
    pub service: Option<String>,
    pub alive: bool,
    /// For how long it has been so.
    pub seconds: u64,
    /// Number of probes or checks, and of those without a good answer.
    pub asked: u64,
    pub lost: u64,
    /// Of the last answer.
    pub round_trip_microseconds: Option<u64>,
}

/// A line of `trigon drops`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct VerdictReport {
    pub reason: String,
    /// `pass`, `transmit`, `redirect` or `drop`.
    pub fate: String,
    pub packets: u64,
    /// What it means.
    pub meaning: String,
    /// What to do about it; none for what is no drop.
    pub remedy: Option<String>,
}

/// `trigon drain`
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrainState {
    /// VIPs are announced.
    No,
    /// Routers are asked to choose others.
    Draining,
    /// Nothing is announced any more.
    Withdrawn,
    /// And sessions are closed.
    Drained,
}

impl DrainState {
    pub fn from_leaving(leaving: Leaving) -> Self {
        match leaving {
            Leaving::No => Self::No,
            Leaving::Draining => Self::Draining,
            Leaving::Withdrawn => Self::Withdrawn,
            Leaving::Closed => Self::Drained,
        }
    }
}
