//! The kernel's routes, links and neighbours, as far as they matter here.

use std::{collections::BTreeMap, net::IpAddr};

use super::{next_hop::Mac, tag::Vlan};

/// The kernel's answer to "where would a packet to this address go?"
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Route {
    Local,
    Via {
        ifindex: u32,
        /// None: the kernel has no address to send from.
        source: Option<IpAddr>,
        gateway: Option<IpAddr>,
        /// Bytes of IP packet; None: the MTU of the link holds.
        mtu: Option<u32>,
    },
    /// There is no usable route, and why.
    None(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    pub name: String,
    /// Bytes of IP packet.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Operational in the sense of RFC 2863: with carrier, and not dormant.
    pub running: bool,
    /// None: not an Ethernet link.
    pub mac: Option<Mac>,
    /// None: not a VLAN device.
    pub vlan: Option<Vlan>,
    /// Index of the bond, bridge or VRF that it is a port of.
    pub controller: Option<u32>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// None: it has not answered.
    pub mac: Option<Mac>,
    /// Somebody else keeps the entry valid: it is static, or a routing daemon's, or the
    /// kernel has been told to keep it fresh.
    pub tended: bool,
}

/// Identifies a neighbour: its address is valid on one interface only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NeighbourKey {
    pub ifindex: u32,
    pub address: IpAddr,
}

pub type Links = BTreeMap<u32, Link>;
pub type Neighbours = BTreeMap<NeighbourKey, Neighbour>;
