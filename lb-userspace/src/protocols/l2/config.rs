//! What there is to announce on links, and by whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::ballot::Ballot;

/// UDP port that agents listen to each other on, unless told otherwise.
pub const PORT: u16 = 7947;

/// What does not change while the agent runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct L2Config {
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
