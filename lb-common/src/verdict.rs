//! Every way out of the programs, with its name and the sentence for people.

mod remedy;

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
    ForwardGue,
    RedirectGue,
    HandOn,
    HandOnRedirect,
    AnswerProbe,
    Deliver,
    EchoReply,
    TellTooBig,
    TellTooBigRouted,
    DropNoSuchPort,
    DropOtherProtocol,
    DropFragment,
    DropOptions,
    DropTruncated,
    DropSourceRange,
    DropNoBackend,
    DropUnresolved,
    DropTooBig,
    DropHopLimit,
    DropIcmp,
    DropIcmpFlow,
    DropTunnelPort,
    DropNoEndpoint,
    DropFlowTable,
    DropSpoofed,
    DropNewFlow,
    DropSamePort,
    DropNoRoom,
    DropStray,
    DropDeadOwner,
    DropCongestion,
    EgressPass,
    EgressReply,
    EgressDropRewrite,
    EgressCheck,
    EgressDropCheck,
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
    (V::ForwardGue, "forward_gue", Transmit, "sent to a backend within UDP"),
    (V::RedirectGue, "redirect_gue", Redirect, "sent to a backend within UDP, out of another interface"),
    (
        V::HandOn,
        "hand_on",
        Transmit,
        "of a flow that this node does not know: handed on to a former owner of its slot",
    ),
    (
        V::HandOnRedirect,
        "hand_on_redirect",
        Redirect,
        "handed on to a former owner of its slot, out of another interface",
    ),
    (V::AnswerProbe, "answer_probe", Transmit, "a director's question whether this node is alive: sent back"),
    (V::Deliver, "deliver", Pass, "rewritten to an endpoint on this node and handed to the kernel"),
    (V::EchoReply, "echo_reply", Transmit, "an echo request to a VIP: answered"),
    (
        V::TellTooBig,
        "tell_too_big",
        Transmit,
        "larger than the path's MTU once encapsulated: the client was told the length that fits",
    ),
    (
        V::TellTooBigRouted,
        "tell_too_big_routed",
        Pass,
        "too large to be handed on to another node: the kernel was given the message that tells the client",
    ),
    (V::DropNoSuchPort, "no_such_port", Drop, "no service of this VIP has this port and protocol"),
    (V::DropOtherProtocol, "other_protocol", Drop, "to a VIP, but neither TCP nor UDP"),
    (
        V::DropFragment,
        "fragment",
        Drop,
        "a later fragment to a VIP that came before the first, or without it, or more than 30 s after it",
    ),
    (
        V::DropOptions,
        "ip_options",
        Drop,
        "to a VIP with more IPv6 extension headers than are followed, or with a route that is not at its end",
    ),
    (V::DropTruncated, "truncated", Drop, "to a VIP, but shorter than its headers say"),
    (
        V::DropSourceRange,
        "source_range",
        Drop,
        "from a client in none of the service's loadBalancerSourceRanges",
    ),
    (V::DropNoBackend, "no_backend", Drop, "the service has no ready endpoint on any node"),
    (
        V::DropUnresolved,
        "next_hop_unresolved",
        Drop,
        "the next hop's MAC address towards the backend is not known",
    ),
    (
        V::DropTooBig,
        "too_big",
        Drop,
        "larger than the path's MTU once encapsulated, and the client could not be told, or was told too often",
    ),
    (V::DropHopLimit, "hop_limit", Drop, "its TTL or hop limit ended at this director"),
    (
        V::DropIcmp,
        "icmp",
        Drop,
        "ICMP to a VIP, but neither an echo request to be answered nor an error about TCP or UDP of this VIP",
    ),
    (V::DropIcmpFlow, "icmp_unknown_flow", Drop, "an ICMP error about a flow that nobody knows"),
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
    (
        V::DropSpoofed,
        "spoofed",
        Drop,
        "its source is an address that no client has: a VIP, loopback, multicast or none",
    ),
    (
        V::DropNewFlow,
        "new_flows",
        Drop,
        "would begin a flow, beyond the service's trigon.dev/new-flows-per-second",
    ),
    (
        V::DropSamePort,
        "same_port",
        Drop,
        "the client's address and port lead to this endpoint by too many other services already",
    ),
    (V::DropNoRoom, "no_headroom", Drop, "the driver left no room for the outer header"),
    (V::DropStray, "stray", Drop, "of a flow that nobody here knows, beyond what is handed on in a second"),
    (
        V::DropDeadOwner,
        "dead_owner",
        Drop,
        "of a flow that nobody knows who answers, and perhaps a node that does not answer",
    ),
    (
        V::DropCongestion,
        "congestion",
        Drop,
        "congestion met in the tunnel could not be marked on a packet that does not know ECN",
    ),
    (V::EgressPass, "egress_pass", Pass, "leaves as it is: not a reply of ours"),
    (V::EgressReply, "egress_reply", Pass, "a reply: leaves with the VIP as its source"),
    (V::EgressDropRewrite, "egress_rewrite_failed", Drop, "a reply whose source could not be rewritten"),
    (
        V::EgressCheck,
        "egress_check",
        Pass,
        "the agent's check of a bare server: leaves by the way of traffic to it",
    ),
    (
        V::EgressDropCheck,
        "egress_check_failed",
        Drop,
        "the agent's check of a bare server that could not be sent by the way of traffic to it",
    ),
];

impl Verdict {
    /// How many there are: the length of `COUNTERS`.
    pub const COUNT: usize = V::EgressDropCheck as usize + 1;

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
            V::Pass | V::PassForeignTunnel | V::Deliver | V::TellTooBigRouted => 2,
            V::ForwardL2 | V::ForwardIpip | V::ForwardGue | V::HandOn => 3,
            V::AnswerProbe | V::EchoReply | V::TellTooBig => 3,
            V::RedirectL2 | V::RedirectIpip | V::RedirectGue | V::HandOnRedirect => 4,
            _ => 1,
        }
    }

    /// Does the packet go to a backend or another node, rather than back to
    /// where it came from?
    #[inline(always)]
    pub const fn leaves_for_backend(self) -> bool {
        matches!(
            self,
            V::ForwardL2
                | V::ForwardIpip
                | V::ForwardGue
                | V::HandOn
                | V::RedirectL2
                | V::RedirectIpip
                | V::RedirectGue
                | V::HandOnRedirect
        )
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
