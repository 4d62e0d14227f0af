//! What is measured. Names follow `PROTOCOL-DELIVERY-FLOWS`.

use lb_common::Verdict;

use super::frame::{TCP, To, Traffic, UDP};

/// The case that all others are related to.
pub const REFERENCE: &str = "encap";

/// The ports of the services: one for each way to their backends.
pub const PORT_IPIP: u16 = 80;
pub const PORT_L2: u16 = 81;
pub const PORT_IPIP6: u16 = 82;
/// As `PORT_IPIP`, with the longest ring and a hundred backends.
pub const PORT_LONG_RING: u16 = 83;
/// No service has it.
const PORT_NONE: u16 = 84;

#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub program: Program,
    pub traffic: Traffic,
    pub output: Output,
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
    /// The same, so many bytes further on: what was before them now counts.
    Moved(u32),
    /// One hop less to live.
    Routed,
    /// In an outer IPv4 header, whose protocol is this.
    InIpv4(u8),
    /// In an outer IPv6 header, whose next header is this.
    InIpv6(u8),
}

impl Output {
    /// By how many bytes the frame grows.
    pub fn growth(self) -> u32 {
        match self {
            Output::Unchanged | Output::Routed => 0,
            Output::Moved(by) => by,
            Output::InIpv4(_) => 20,
            Output::InIpv6(_) => 40,
        }
    }

    /// The place and value of a byte that only this output has there.
    pub fn proof(self, traffic: &Traffic) -> (u32, u32) {
        match self {
            Output::Unchanged => (traffic.ttl_at(), 64),
            Output::Moved(by) => (traffic.ttl_at() + by, 64),
            Output::Routed => (traffic.ttl_at(), 63),
            Output::InIpv4(protocol) => (23, protocol.into()),
            Output::InIpv6(protocol) => (20, protocol.into()),
        }
    }
}

const IPV4: u8 = 4;
const IPV6: u8 = 41;
const TEN_K: u32 = 10_000;
const MILLION: u32 = 1_000_000;
/// Flows that never come back.
const NEW: u32 = 0;

pub fn all() -> Vec<Case> {
    use Output::{InIpv4, InIpv6, Routed, Unchanged};
    use Verdict::{ForwardIpip, ForwardL2, Pass};
    let v4 = |port, flows| Traffic { to: To::Vip4, protocol: TCP, port, flows };
    let v6 = |port, flows| Traffic { to: To::Vip6, protocol: TCP, port, flows };
    let udp = |flows| Traffic { to: To::Vip4, protocol: UDP, port: PORT_IPIP, flows };
    let elsewhere = Traffic { to: To::Elsewhere, protocol: TCP, port: PORT_NONE, flows: 1 };
    vec![
        baseline("empty", v4(PORT_IPIP, 1), Unchanged),
        baseline("macswap", v4(PORT_IPIP, 1), Unchanged),
        baseline(REFERENCE, v4(PORT_IPIP, 1), InIpv4(IPV4)),
        baseline("encap8", v4(PORT_IPIP, 1), InIpv4(IPV4)),
        trigon("tcp4-ipip-1", v4(PORT_IPIP, 1), InIpv4(IPV4), ForwardIpip),
        trigon("tcp4-ipip-10k", v4(PORT_IPIP, TEN_K), InIpv4(IPV4), ForwardIpip),
        trigon("tcp4-ipip-1m", v4(PORT_IPIP, MILLION), InIpv4(IPV4), ForwardIpip),
        trigon("tcp4-ipip-1m-65537", v4(PORT_LONG_RING, MILLION), InIpv4(IPV4), ForwardIpip),
        trigon("tcp4-ipip-new", v4(PORT_IPIP, NEW), InIpv4(IPV4), ForwardIpip),
        trigon("tcp4-l2-1", v4(PORT_L2, 1), Routed, ForwardL2),
        trigon("tcp4-l2-10k", v4(PORT_L2, TEN_K), Routed, ForwardL2),
        trigon("udp4-ipip-1", udp(1), InIpv4(IPV4), ForwardIpip),
        trigon("udp4-ipip-10k", udp(TEN_K), InIpv4(IPV4), ForwardIpip),
        trigon("tcp6-ipip-1", v6(PORT_IPIP, 1), InIpv4(IPV6), ForwardIpip),
        trigon("tcp6-ipip-10k", v6(PORT_IPIP, TEN_K), InIpv4(IPV6), ForwardIpip),
        trigon("tcp6-ipip6-1", v6(PORT_IPIP6, 1), InIpv6(IPV6), ForwardIpip),
        trigon("tcp6-l2-1", v6(PORT_L2, 1), Routed, ForwardL2),
        trigon("pass", elsewhere, Unchanged, Pass),
    ]
}

fn trigon(name: &'static str, traffic: Traffic, output: Output, verdict: Verdict) -> Case {
    Case { name, program: Program::Trigon(verdict), traffic, output }
}

fn baseline(name: &'static str, traffic: Traffic, output: Output) -> Case {
    Case { name, program: Program::Baseline(name), traffic, output }
}
