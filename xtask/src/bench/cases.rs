//! What is measured. Names follow `[SIDE-]PROTOCOL-DELIVERY-FLOWS`.

use lb_common::{Verdict, gue};

use super::frame::{Family, POD4, TCP, To, Traffic, UDP, VIP4, Within};

/// The ports of the services: one for each way to their backends.
pub const PORT_IPIP: u16 = 80;
pub const PORT_L2: u16 = 81;
pub const PORT_IPIP6: u16 = 82;
/// As `PORT_IPIP`, with the longest ring and a hundred backends.
pub const PORT_LONG_RING: u16 = 83;
/// No service has it.
const PORT_NONE: u16 = 84;
pub const PORT_GUE: u16 = 85;
pub const PORT_GUE6: u16 = 86;
/// As `PORT_IPIP`, but of bare servers, whose flows the director remembers.
pub const PORT_BARE: u16 = 87;
/// On the node: its flows are at another node, where they were found.
pub const PORT_HANDED: u16 = 88;

#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub side: Side,
    pub program: Program,
    pub traffic: Traffic,
    pub output: Output,
}

/// Where the packets are handled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `trigon_xdp` in the director's role.
    Director,
    /// `trigon_xdp` in the node's role.
    Node,
    /// `trigon_egress`.
    Egress,
}

impl Side {
    /// The case that all others of this side are related to.
    pub fn reference(self) -> &'static str {
        match self {
            Side::Director => "encap",
            Side::Node => "decap",
            Side::Egress => "snat",
        }
    }
}

impl Case {
    /// Is it what the others of its side are related to?
    pub fn is_reference(&self) -> bool {
        self.name == self.side.reference()
    }

    pub fn is_trigon(&self) -> bool {
        matches!(self.program, Program::Trigon(_))
    }
}

/// Who handles the packets.
#[derive(Clone, Copy)]
pub enum Program {
    /// Trigon, which must count this verdict for every packet.
    Trigon(Verdict),
    /// The program of this name in the benchmark's object.
    Baseline(&'static str),
}

/// What the program makes of a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Unchanged,
    /// The same behind so many more bytes, or fewer if negative: the head has moved.
    Moved(i32),
    /// TTL or hop limit less one.
    Routed,
    /// In an outer IPv4 header, whose protocol is this.
    InIpv4(u8),
    /// In an outer IPv6 header, whose next header is this.
    InIpv6(u8),
    /// Without its outer headers, and addressed to a Pod.
    AtPod,
    /// In UDP over IPv4 to another node, with private data, in place of its outer headers.
    HandedOn,
    /// From the VIP.
    FromVip,
}

impl Output {
    /// By how many bytes the frame grows.
    pub fn growth(self, traffic: &Traffic) -> i32 {
        match self {
            Output::Unchanged | Output::Routed | Output::FromVip => 0,
            Output::Moved(by) => by,
            Output::InIpv4(protocol) => 20 + udp_and_gue(protocol),
            Output::InIpv6(protocol) => 40 + udp_and_gue(protocol),
            Output::AtPod => -(traffic.outer_len() as i32),
            Output::HandedOn => (20 + 8 + gue::HANDED_LEN) as i32 - traffic.outer_len() as i32,
        }
    }

    /// The place and value of a byte that only this output has there.
    pub fn proof(self, traffic: &Traffic) -> (u32, u32) {
        match self {
            Output::Unchanged => (traffic.ttl_at(), 64),
            Output::Moved(by) => (traffic.ttl_at().saturating_add_signed(by), 64),
            Output::Routed => (traffic.ttl_at(), 63),
            Output::InIpv4(protocol) => (23, protocol.into()),
            Output::InIpv6(protocol) => (20, protocol.into()),
            Output::AtPod => {
                (traffic.destination_at() - traffic.outer_len() as u32 + 3, POD4.octets()[3].into())
            }
            Output::HandedOn => ((14 + 20 + 8 + gue::WHOSE) as u32, gue::MAGIC.into()),
            Output::FromVip => (traffic.source_at() + 3, VIP4.octets()[3].into()),
        }
    }
}

fn udp_and_gue(protocol: u8) -> i32 {
    if protocol == UDP { 12 } else { 0 }
}

const IPV4: u8 = 4;
const IPV6: u8 = 41;
const TEN_K: u32 = 10_000;
const MILLION: u32 = 1_000_000;
/// Each packet is of a new flow, which never comes back.
const NEW: u32 = 0;

pub fn all() -> Vec<Case> {
    [director_cases(), node_cases(), egress_cases()].concat()
}

fn director_cases() -> Vec<Case> {
    use Output::{InIpv4, InIpv6, Routed, Unchanged};
    use Verdict::{ForwardGue, ForwardIpip, ForwardL2, Pass};
    let to = |to, family, protocol, port, flows| Traffic {
        to,
        family,
        protocol,
        port,
        flows,
        within: Within::Nothing,
    };
    let v4 = |port, flows| to(To::Vip, Family::V4, TCP, port, flows);
    let v6 = |port, flows| to(To::Vip, Family::V6, TCP, port, flows);
    let udp = |flows| to(To::Vip, Family::V4, UDP, PORT_IPIP, flows);
    let elsewhere = to(To::Elsewhere, Family::V4, TCP, PORT_NONE, 1);
    let baseline = |name, output| baseline(name, Side::Director, v4(PORT_IPIP, 1), output);
    let trigon = |name, traffic, output, verdict| trigon(name, Side::Director, traffic, output, verdict);
    vec![
        baseline("empty", Unchanged),
        baseline("macswap", Unchanged),
        baseline("encap", InIpv4(IPV4)),
        baseline("encap8", InIpv4(IPV4)),
        trigon("tcp4-ipip-1", v4(PORT_IPIP, 1), InIpv4(IPV4), ForwardIpip),
        trigon("tcp4-ipip-10k", v4(PORT_IPIP, TEN_K), InIpv4(IPV4), ForwardIpip),
        trigon("tcp4-ipip-1m", v4(PORT_IPIP, MILLION), InIpv4(IPV4), ForwardIpip),
        trigon("tcp4-ipip-1m-65537", v4(PORT_LONG_RING, MILLION), InIpv4(IPV4), ForwardIpip),
        trigon("tcp4-ipip-new", v4(PORT_IPIP, NEW), InIpv4(IPV4), ForwardIpip),
        trigon("tcp4-gue-1", v4(PORT_GUE, 1), InIpv4(UDP), ForwardGue),
        trigon("tcp4-gue-10k", v4(PORT_GUE, TEN_K), InIpv4(UDP), ForwardGue),
        trigon("tcp4-l2-1", v4(PORT_L2, 1), Routed, ForwardL2),
        trigon("tcp4-l2-10k", v4(PORT_L2, TEN_K), Routed, ForwardL2),
        trigon("tcp4-bare-1", v4(PORT_BARE, 1), InIpv4(IPV4), ForwardIpip),
        trigon("tcp4-bare-10k", v4(PORT_BARE, TEN_K), InIpv4(IPV4), ForwardIpip),
        trigon("udp4-ipip-1", udp(1), InIpv4(IPV4), ForwardIpip),
        trigon("udp4-ipip-10k", udp(TEN_K), InIpv4(IPV4), ForwardIpip),
        trigon("tcp6-ipip-1", v6(PORT_IPIP, 1), InIpv4(IPV6), ForwardIpip),
        trigon("tcp6-ipip-10k", v6(PORT_IPIP, TEN_K), InIpv4(IPV6), ForwardIpip),
        trigon("tcp6-ipip6-1", v6(PORT_IPIP6, 1), InIpv6(IPV6), ForwardIpip),
        trigon("tcp6-gue-1", v6(PORT_GUE, 1), InIpv4(UDP), ForwardGue),
        trigon("tcp6-gue6-1", v6(PORT_GUE6, 1), InIpv6(UDP), ForwardGue),
        trigon("tcp6-l2-1", v6(PORT_L2, 1), Routed, ForwardL2),
        trigon("pass", elsewhere, Unchanged, Pass),
    ]
}

/// From a director's tunnel, or by MAC address, to a Pod.
fn node_cases() -> Vec<Case> {
    let tcp = |family, within, flows| Traffic {
        to: To::Vip,
        family,
        protocol: TCP,
        port: PORT_IPIP,
        flows,
        within,
    };
    let (v4, v6) = (|within, flows| tcp(Family::V4, within, flows), |within| tcp(Family::V6, within, 1));
    let handed = Traffic { port: PORT_HANDED, ..v4(Within::Gue, TEN_K) };
    let handed = trigon("node-tcp4-handed-10k", Side::Node, handed, Output::HandedOn, Verdict::HandOn);
    let trigon = |name, traffic| trigon(name, Side::Node, traffic, Output::AtPod, Verdict::Deliver);
    vec![
        baseline("decap", Side::Node, v4(Within::Ip, 1), Output::AtPod),
        trigon("node-tcp4-ipip-1", v4(Within::Ip, 1)),
        trigon("node-tcp4-ipip-10k", v4(Within::Ip, TEN_K)),
        trigon("node-tcp4-ipip-new", v4(Within::Ip, NEW)),
        trigon("node-tcp4-gue-1", v4(Within::Gue, 1)),
        trigon("node-tcp4-gue-10k", v4(Within::Gue, TEN_K)),
        trigon("node-tcp4-l2-1", v4(Within::Nothing, 1)),
        trigon("node-tcp6-ipip6-1", v6(Within::Ip)),
        trigon("node-tcp6-gue6-1", v6(Within::Gue)),
        handed,
    ]
}

/// Replies of a Pod, and packets that are none.
fn egress_cases() -> Vec<Case> {
    use Output::{FromVip, Unchanged};
    use Verdict::{EgressPass, EgressReply};
    let from_pod = |family, protocol, port, flows| Traffic {
        to: To::Client,
        family,
        protocol,
        port,
        flows,
        within: Within::Nothing,
    };
    let known = |family, protocol, flows| from_pod(family, protocol, TARGET_PORT, flows);
    let trigon = |name, traffic, output, verdict| trigon(name, Side::Egress, traffic, output, verdict);
    vec![
        baseline("snat", Side::Egress, known(Family::V4, TCP, 1), FromVip),
        trigon("egress-tcp4-1", known(Family::V4, TCP, 1), FromVip, EgressReply),
        trigon("egress-tcp4-10k", known(Family::V4, TCP, TEN_K), FromVip, EgressReply),
        trigon("egress-udp4-1", known(Family::V4, UDP, 1), FromVip, EgressReply),
        trigon("egress-tcp6-1", known(Family::V6, TCP, 1), FromVip, EgressReply),
        trigon("egress-pass", from_pod(Family::V4, TCP, PORT_NONE, 1), Unchanged, EgressPass),
    ]
}

/// Where all Pods listen.
pub const TARGET_PORT: u16 = 3000;

fn trigon(name: &'static str, side: Side, traffic: Traffic, output: Output, verdict: Verdict) -> Case {
    Case { name, side, program: Program::Trigon(verdict), traffic, output }
}

fn baseline(name: &'static str, side: Side, traffic: Traffic, output: Output) -> Case {
    Case { name, side, program: Program::Baseline(name), traffic, output }
}
