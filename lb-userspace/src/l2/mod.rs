//! Announcing VIPs on a link: of several nodes one is elected, and answers
//! ARP (RFC 826) and neighbour solicitations (RFC 4861) for them.
//!
//! ```text
//! wanted ──> driver (sockets, timers) ──> statuses
//!              ├──> peers (who lives, who knows what?) <──> hello, readiness
//!              ├──> elect (who announces?)
//!              ├──> announce (when, unasked?)
//!              └──> wire (questions and answers)
//! ```
//! The VIPs are not addresses of this machine: XDP takes their packets, and no
//! setting of the kernel's ARP matters, unless something else gives the machine
//! the addresses (kube-proxy with IPVS does).

mod announce;
mod ballot;
mod circle;
mod driver;
mod elect;
mod groups;
mod hello;
mod interfaces;
mod links;
mod packet;
mod peer;
mod peers;
mod port;
mod readiness;
mod rivals;
mod talk;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

pub use ballot::Ballot;
pub use driver::run;
pub use interfaces::{Fault, Why};

/// UDP port that agents listen to each other on, unless told otherwise.
pub const PORT: u16 = 7947;

/// What does not change while the agent runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The agent's, which its programs are on: where to announce what names no
    /// interface itself.
    pub interfaces: Vec<String>,
    /// UDP port of the agents' talk among each other; the same on all nodes.
    pub port: u16,
}

/// All that the announcer is to do. Given anew whenever anything changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// Our own Node.
    pub me: Arc<str>,
    /// Everybody who may be elected for anything, and where its agent is to be asked
    /// whether it lives. Empty if we may not be ourselves.
    pub nodes: BTreeMap<Arc<str>, Vec<IpAddr>>,
    /// By VIP.
    pub vips: BTreeMap<IpAddr, Candidates>,
    /// The agent drains or stops: claim nothing, and say so to the others.
    pub leaving: bool,
}

/// Who may announce a VIP, and where.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Candidates {
    /// From the `L2Advertisement`s and their node selectors.
    pub ballot: Arc<Ballot>,
    /// Are we ready to carry it: programmed, with a usable backend?
    pub ready: bool,
    /// Its packets mean nothing to the kernel: announce it only where our programs are.
    pub in_data_path: bool,
    /// Where to announce; empty: on every interface of the agent.
    pub interfaces: BTreeSet<Arc<str>>,
}

/// A line of `trigon l2`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VipStatus {
    pub vip: IpAddr,
    /// Whom this node holds for elected; none: nobody can be.
    pub owner: Option<String>,
    /// Do we answer for it?
    pub announcing: bool,
    pub interfaces: Vec<String>,
    /// Where it should be, and cannot be.
    pub faults: Vec<Fault>,
    /// Candidates, those first that would follow.
    pub candidates: Vec<CandidateStatus>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CandidateStatus {
    pub node: String,
    pub alive: bool,
    /// It says that it can carry the VIP.
    pub ready: bool,
}
