//! What the client tools report, as JSON.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

/// Of `tcp-hold`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TcpReport {
    /// Connections that were greeted.
    pub opened: u64,
    /// Those of them that still answer.
    pub alive: u64,
    /// Connections that failed, at first or later.
    pub broken: u64,
    /// Lines that came back.
    pub echoes: u64,
    /// The longest time that a line took to come back.
    pub max_echo_ms: u64,
    /// Greeted connections by Pod.
    pub per_pod: BTreeMap<String, u64>,
    /// Those of them that failed.
    pub broken_per_pod: BTreeMap<String, u64>,
    /// What happened to the first few broken ones.
    pub errors: Vec<String>,
}

impl TcpReport {
    /// Both together: of connections to different addresses, say.
    pub fn merge(mut self, other: Self) -> Self {
        self.opened += other.opened;
        self.alive += other.alive;
        self.broken += other.broken;
        self.echoes += other.echoes;
        self.max_echo_ms = self.max_echo_ms.max(other.max_echo_ms);
        add_counts(&mut self.per_pod, other.per_pod);
        add_counts(&mut self.broken_per_pod, other.broken_per_pod);
        self.errors.extend(other.errors);
        self
    }
}

fn add_counts(sum: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) {
    for (pod, count) in more {
        *sum.entry(pod).or_default() += count;
    }
}

/// Of `udp-stream`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct UdpReport {
    pub sent: u64,
    /// Datagrams that were answered.
    pub received: u64,
    pub lost: u64,
    /// Answers beyond the first.
    pub duplicates: u64,
    /// Numbers of the first few lost ones.
    pub first_lost: Vec<u64>,
    /// The longest time without an answer.
    pub max_gap_ms: u64,
    pub per_pod: BTreeMap<String, u64>,
    /// What the socket said, first few: ICMP errors show up here.
    pub errors: Vec<String>,
}

/// Of `http-get`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HttpReport {
    pub requests: u64,
    pub answered: u64,
    /// What each Pod that answered saw as the client's address.
    pub sources: BTreeMap<String, BTreeSet<IpAddr>>,
    /// What happened to those that were not answered.
    pub errors: Vec<String>,
}
