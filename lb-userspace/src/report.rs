//! What a running agent tells about itself: the bodies of its API, and of
//! `--output json`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// `trigon status`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The data path holds what the objects say, read back from the kernel.
    pub ready: bool,
    pub node: String,
    pub roles: Vec<String>,
    pub version: String,
    /// Of the agent; the data path may be older.
    pub uptime_seconds: u64,
    /// The plan that changed a service last.
    pub generation: u32,
    pub interfaces: Vec<Interface>,
    pub source: Source,
    pub services: Count,
    pub backends: Count,
    /// What is wrong, in full sentences; empty if all is well.
    pub problems: Vec<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Interface {
    pub name: String,
    /// `native`, or `generic`, which is slower.
    pub xdp: String,
    /// The link was there before this agent, which gave it a new program.
    pub adopted: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Source {
    pub directory: String,
    /// False: the last good state is kept; `problems` says why.
    pub good: bool,
}

/// How many of how many are as they should be.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Count {
    pub total: usize,
    /// Services: programmed and proven. Backends: next hop known.
    pub good: usize,
}

/// A line of `trigon services`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ServiceReport {
    pub name: String,
    pub vip: IpAddr,
    pub port: u16,
    pub protocol: String,
    /// The generation read back from the kernel; none: not programmed yet.
    pub programmed: Option<u32>,
    /// Slots of its ring; 0 where this machine is no director, or nobody is ready.
    pub ring: usize,
    pub backends: Vec<Share>,
    /// On this node.
    pub endpoints: Vec<String>,
    pub packets: u64,
    pub bytes: u64,
}

/// A backend's part of a ring.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Share {
    pub address: IpAddr,
    /// Number of endpoints.
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
    /// `l2`, `ipip`, or `local`.
    pub delivery: String,
    pub resolved: bool,
    /// How it is reached, or why it is not.
    pub next_hop: String,
    /// Bytes of IP packet.
    pub mtu: u16,
    pub packets: u64,
    pub bytes: u64,
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
}
