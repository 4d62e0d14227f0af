//! Every way out of the programs, with its name and the sentence for people.

/// What a program decided. The discriminant is the index of `COUNTERS`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u32)]
pub enum Verdict {
    Pass,
    PassForeignTunnel,
    ForwardL2,
    ForwardIpip,
    RedirectL2,
    RedirectIpip,
    Deliver,
    DropNoSuchPort,
    DropOtherProtocol,
    DropFragment,
    DropOptions,
    DropTruncated,
    DropNoBackend,
    DropUnresolved,
    DropTooBig,
    DropHopLimit,
    DropTunnelPort,
    DropNoEndpoint,
    DropFlowTable,
    DropNoRoom,
    DropCongestion,
    EgressPass,
    EgressReply,
    EgressDropRewrite,
}

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Handed to the kernel, unmodified unless the verdict says so.
    Pass,
    /// Sent out by the interface it came in by.
    Transmit,
    /// Sent out by another interface.
    Redirect,
    Drop,
}

use Fate::{Drop, Pass, Redirect, Transmit};
use Verdict as V;

/// One row a verdict: itself, its metric label, its fate, its sentence.
type Row = (Verdict, &'static str, Fate, &'static str);

const TABLE: [Row; Verdict::COUNT] = [
    (V::Pass, "pass", Pass, "not for an owned VIP: left to the kernel untouched"),
    (
        V::PassForeignTunnel,
        "pass_foreign_tunnel",
        Pass,
        "a tunnel packet of somebody else's: unknown peer, or its inner destination is not an owned VIP",
    ),
    (V::ForwardL2, "forward_l2", Transmit, "sent to a backend on the same link by its MAC address"),
    (V::ForwardIpip, "forward_ipip", Transmit, "sent to a backend in an outer IP header"),
    (
        V::RedirectL2,
        "redirect_l2",
        Redirect,
        "sent to a backend by its MAC address, out of another interface",
    ),
    (
        V::RedirectIpip,
        "redirect_ipip",
        Redirect,
        "sent to a backend in an outer IP header, out of another interface",
    ),
    (V::Deliver, "deliver", Pass, "rewritten to an endpoint on this node and handed to the kernel"),
    (V::DropNoSuchPort, "no_such_port", Drop, "no service of this VIP has this port and protocol"),
    (V::DropOtherProtocol, "other_protocol", Drop, "to a VIP, but neither TCP nor UDP"),
    (V::DropFragment, "fragment", Drop, "a fragment to a VIP: fragments are not supported yet"),
    (
        V::DropOptions,
        "ip_options",
        Drop,
        "to a VIP with IPv4 options or an IPv6 extension header, which are not supported yet",
    ),
    (V::DropTruncated, "truncated", Drop, "to a VIP, but shorter than its headers say"),
    (V::DropNoBackend, "no_backend", Drop, "the service has no ready endpoint on any node"),
    (
        V::DropUnresolved,
        "next_hop_unresolved",
        Drop,
        "the next hop's MAC address towards the backend is not known",
    ),
    (V::DropTooBig, "too_big", Drop, "larger than the path's MTU once encapsulated"),
    (V::DropHopLimit, "hop_limit", Drop, "its TTL or hop limit ended at this director"),
    (
        V::DropTunnelPort,
        "tunnel_no_such_port",
        Drop,
        "from a director, to a VIP of ours, but this node knows no service with this port and protocol",
    ),
    (
        V::DropNoEndpoint,
        "no_endpoint",
        Drop,
        "chosen as the owner, but this node has no endpoint of the service",
    ),
    (V::DropFlowTable, "flow_table", Drop, "the flow could not be remembered"),
    (V::DropNoRoom, "no_headroom", Drop, "the driver left no room for the outer header"),
    (
        V::DropCongestion,
        "congestion",
        Drop,
        "congestion met in the tunnel could not be marked on a packet that does not know ECN",
    ),
    (V::EgressPass, "egress_pass", Pass, "leaves as it is: not a reply of ours"),
    (V::EgressReply, "egress_reply", Pass, "a reply: leaves with the VIP as its source"),
    (V::EgressDropRewrite, "egress_rewrite_failed", Drop, "a reply whose source could not be rewritten"),
];

impl Verdict {
    /// How many there are: the length of `COUNTERS`.
    pub const COUNT: usize = V::EgressDropRewrite as usize + 1;

    /// All verdicts, in the order of their discriminants.
    pub fn all() -> impl Iterator<Item = Verdict> {
        TABLE.iter().map(|row| row.0)
    }

    /// From its discriminant.
    pub fn from_index(index: usize) -> Option<Verdict> {
        TABLE.get(index).map(|row| row.0)
    }

    /// The name, as in metrics and `trigon drops`.
    pub const fn label(self) -> &'static str {
        TABLE[self as usize].1
    }

    /// What becomes of the packet.
    pub const fn fate(self) -> Fate {
        TABLE[self as usize].2
    }

    /// Why, as a sentence.
    pub const fn sentence(self) -> &'static str {
        TABLE[self as usize].3
    }

    /// The XDP action of `include/uapi/linux/bpf.h`.
    ///
    /// Written as comparisons, so that the kernel side needs no table.
    #[inline(always)]
    pub const fn xdp_action(self) -> u32 {
        match self {
            V::Pass | V::PassForeignTunnel | V::Deliver => 2,
            V::ForwardL2 | V::ForwardIpip => 3,
            V::RedirectL2 | V::RedirectIpip => 4,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_table_is_indexed_by_the_discriminant() {
        for (index, verdict) in Verdict::all().enumerate() {
            assert_eq!(verdict as usize, index);
        }
    }

    #[test]
    fn labels_are_distinct() {
        let labels: HashSet<_> = Verdict::all().map(Verdict::label).collect();
        assert_eq!(labels.len(), Verdict::COUNT);
    }

    #[test]
    fn actions_agree_with_fates() {
        for verdict in Verdict::all().filter(|v| !v.label().starts_with("egress")) {
            let action = match verdict.fate() {
                Drop => 1,
                Pass => 2,
                Transmit => 3,
                Redirect => 4,
            };
            assert_eq!(verdict.xdp_action(), action, "{verdict:?}");
        }
    }
}
