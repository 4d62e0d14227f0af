//! What is to be announced on links, and by which nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::ballot::Ballot;

/// Default UDP port of the hellos between agents.
pub const PORT: u16 = 7947;

/// What does not change while the agent runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct L2Config {
    /// The agent's interfaces, which its programs are attached to: where a VIP without
    /// interfaces of its own is announced.
    pub interfaces: Vec<String>,
    /// UDP port of the hellos between agents; the same on all nodes.
    pub port: u16,
}

/// All that the announcer is to do; passed anew whenever anything changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct L2Orders {
    /// Name of our own Node.
    pub me: Arc<str>,
    /// The nodes that may be elected for any VIP, with the addresses that their agents
    /// exchange hellos on. Empty if our own node may not be elected.
    pub nodes: BTreeMap<Arc<str>, Vec<IpAddr>>,
    /// The candidates of each VIP.
    pub vips: BTreeMap<IpAddr, Candidates>,
    /// The agent drains or stops: it announces nothing, and tells the others so.
    pub leaving: bool,
}

/// Which nodes may announce a VIP, and on which interfaces.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Candidates {
    /// From the `L2Advertisement`s and their node selectors.
    pub ballot: Arc<Ballot>,
    /// Can this node carry the VIP: is it programmed, with a usable backend?
    pub ready: bool,
    /// The kernel can't handle packets for the VIP: it is announced only on interfaces with
    /// our programs.
    pub in_data_path: bool,
    /// The interfaces to announce it on; empty: all interfaces of the agent.
    pub interfaces: BTreeSet<Arc<str>>,
}
