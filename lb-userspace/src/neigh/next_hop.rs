//! The next hop of an address, as found out from the kernel.

use std::{fmt, net::IpAddr};

use imbl::OrdMap;
use serde::{Serialize, Serializer};

use super::{routing::NeighbourKey, tag::Tag};

/// How this machine reaches an address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NextHop {
    /// The interface of the route.
    pub ifindex: u32,
    pub interface: String,
    /// Index of the device to transmit by: the same, or the one below a VLAN device.
    pub device: u32,
    /// VLAN tags, outermost first; two at most.
    pub tags: Vec<Tag>,
    /// The source address that the kernel would use.
    pub source: IpAddr,
    /// There is no gateway: the target itself is the neighbour.
    pub on_link: bool,
    /// May be of the other address family than the target (RFC 8950).
    pub gateway: Option<IpAddr>,
    /// Bytes of IP packet: the smaller of what the route and the link allow.
    pub mtu: u32,
    #[serde(serialize_with = "mac_as_text")]
    pub src_mac: Mac,
    /// None: the neighbour has not answered (yet), and it is not known from before.
    #[serde(serialize_with = "mac_as_text_or_null")]
    pub dst_mac: Option<Mac>,
    /// The neighbour does not answer now; `dst_mac` is what it answered last.
    pub is_silent: bool,
}

impl NextHop {
    /// For tests: a neighbour that has not answered yet.
    #[cfg(test)]
    pub fn on_uplink() -> Self {
        Self {
            ifindex: 2,
            interface: "uplink".into(),
            device: 2,
            tags: Vec::new(),
            source: IpAddr::from([10, 0, 0, 9]),
            on_link: true,
            gateway: None,
            mtu: 1500,
            src_mac: [2; 6],
            dst_mac: None,
            is_silent: false,
        }
    }

    /// Who a packet to `target` is sent to first.
    pub(super) fn neighbour(&self, target: IpAddr) -> NeighbourKey {
        NeighbourKey { ifindex: self.ifindex, address: self.gateway.unwrap_or(target) }
    }

    /// The VLAN tags as they stand in a frame, outermost first; 0 where there is none.
    pub fn wire_tags(&self) -> [u32; 2] {
        [0, 1].map(|n| self.tags.get(n).map_or(0, |tag| tag.wire_word()))
    }
}

/// Where a packet to an address would go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// It is an address of this machine.
    Local,
    Via(NextHop),
    /// The reason why it can't be reached, for people.
    Unreachable(String),
}

/// Next hops by target; cheap to copy. A target that is not in the map has not been looked up yet.
pub type NextHops = OrdMap<IpAddr, Reach>;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Shows an Ethernet address: `02:00:00:00:00:01`.
pub struct MacText(pub Mac);

impl fmt::Display for MacText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

fn mac_as_text<S: Serializer>(mac: &Mac, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&MacText(*mac))
}

fn mac_as_text_or_null<S: Serializer>(mac: &Option<Mac>, to: S) -> Result<S::Ok, S::Error> {
    mac.map(|mac| MacText(mac).to_string()).serialize(to)
}

#[cfg(test)]
mod tests;
