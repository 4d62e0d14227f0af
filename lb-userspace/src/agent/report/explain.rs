//! `trigon explain`

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The query string of `/v1/explain`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ExplainQuestion {
    pub flow: String,
    /// The node that the packet reaches in a director's tunnel; none: the packet
    /// comes from a client, without a tunnel.
    pub at_node: Option<String>,
    /// None: the first of the agent's.
    pub interface: Option<String>,
    /// Bytes of IP packet; at least those of its headers.
    pub len: u16,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Explanation {
    pub flow: String,
    /// The node whose agent answers.
    pub node: String,
    /// How the packet comes in.
    pub arrival: String,
    /// Of TCP, a SYN and a later packet.
    pub packets: Vec<PacketStory>,
}

/// What becomes of one packet, and why. Steps that it did not reach are none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PacketStory {
    pub packet: String,
    pub service: Option<ServiceStory>,
    pub slot: Option<SlotStory>,
    /// The machine that a director chose, or that a node hands the packet on to.
    pub choice: Option<Choice>,
    /// How it gets to the chosen machine.
    pub way: Option<PathStory>,
    pub endpoint: Option<EndpointStory>,
    /// Label of the verdict, as in `trigon drops`.
    pub verdict: String,
    /// `pass`, `transmit`, `redirect` or `drop`.
    pub fate: String,
    /// What the verdict means.
    pub meaning: String,
    /// What to do about a drop.
    pub remedy: Option<String>,
    /// What else is worth knowing, in full sentences.
    pub hints: Vec<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ServiceStory {
    /// None if the objects have no such service any more.
    pub name: Option<String>,
    pub protocol: String,
    pub vip: SocketAddr,
    pub generation: u32,
    pub kube_proxy: bool,
    /// Backends in its ring.
    pub backends: usize,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SlotStory {
    pub slot: u32,
    /// Slots of the ring.
    pub of: u32,
    /// None of an empty slot.
    pub owner: Option<Machine>,
    /// Newest first. None on a machine that is no node, which has no history.
    pub former: Option<Vec<Machine>>,
}

/// A machine that packets are sent to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// None for a bare server.
    pub node: Option<String>,
    pub address: IpAddr,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Choice {
    pub peer: Machine,
    /// Why this one, as the end of a sentence.
    pub why: String,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PathStory {
    /// `l2`, `ipip` or `gue`.
    pub delivery: String,
    /// How the backend is reached, or why it is not.
    pub next_hop: String,
    /// Bytes of IP packet that fit.
    pub mtu: u16,
    /// Of the outer UDP header.
    pub source_port: Option<u16>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EndpointStory {
    pub endpoint: SocketAddr,
    /// Was the flow there before? Else it would begin with this packet.
    pub known: bool,
    /// The client is on this node: the endpoint sees the VIP as the client.
    pub inside: bool,
}
