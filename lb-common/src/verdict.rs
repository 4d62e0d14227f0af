//! Every way out of the programs, with its name and the sentences for people.

/// What becomes of a packet. At ingress, the discriminant is the XDP action
/// (`include/uapi/linux/bpf.h`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Fate {
    Drop = 1,
    /// Handed to the kernel, unmodified unless the verdict says so.
    Pass = 2,
    /// Sent out by the interface it came in by.
    Transmit = 3,
    /// Sent out by another interface; at egress, taken in by the same one.
    Redirect = 4,
}

/// Makes [`Verdict`] of its rows: name, number, label, fate, why as a sentence, and of a
/// drop also what helps.
macro_rules! verdicts {
    ($($name:ident = $number:literal $label:literal $fate:ident: $sentence:literal $(, $remedy:literal)?;)+) => {
        /// What a program decided. The discriminant is its number: the index of `VERDICTS`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u32)]
        pub enum Verdict {
            $(#[doc = $sentence] $name = $number,)+
        }

        const ALL: &[Verdict] = &[$(Verdict::$name),+];

        impl Verdict {
            /// The name, as in metrics and `trigon drops`.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// What becomes of the packet.
            pub const fn fate(self) -> Fate {
                match self { $(Self::$name => Fate::$fate,)+ }
            }

            /// Why, as a sentence.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)+ }
            }

            /// What helps against a drop, as a sentence; none for other fates.
            pub const fn remedy(self) -> Option<&'static str> {
                match self { $(Self::$name => verdicts!(@option $($remedy)?),)+ }
            }
        }
    };
    (@option) => { None };
    (@option $text:literal) => { Some($text) };
}

// A number is for ever, because counters are pinned by it and other releases report it: a new
// row takes one that was never used. Those of ingress that do not drop have 0 to 31, those that
// drop 32 to 95, those of egress 96 to 127.
verdicts! {
    Pass = 0 "pass" Pass:
        "not for an owned VIP: left to the kernel untouched";
    PassForeignTunnel = 1 "pass_foreign_tunnel" Pass:
        "a tunnel packet of somebody else's: unknown peer, or its inner destination is not an owned VIP";
    ForwardL2 = 2 "forward_l2" Transmit:
        "sent to a backend on the same link by its MAC address";
    ForwardIpip = 3 "forward_ipip" Transmit:
        "sent to a backend in an outer IP header";
    RedirectL2 = 4 "redirect_l2" Redirect:
        "sent to a backend by its MAC address, out of another interface";
    RedirectIpip = 5 "redirect_ipip" Redirect:
        "sent to a backend in an outer IP header, out of another interface";
    ForwardGue = 6 "forward_gue" Transmit:
        "sent to a backend within UDP";
    RedirectGue = 7 "redirect_gue" Redirect:
        "sent to a backend within UDP, out of another interface";
    HandOn = 8 "hand_on" Transmit:
        "of a flow that this node does not know: handed on to a former owner of its slot";
    HandOnRedirect = 9 "hand_on_redirect" Redirect:
        "handed on to a former owner of its slot, out of another interface";
    AnswerProbe = 10 "answer_probe" Transmit:
        "a probe by a director or another node, to see if this node is alive: sent back";
    Deliver = 11 "deliver" Pass:
        "rewritten to an endpoint on this node and handed to the kernel";
    EchoReply = 12 "echo_reply" Transmit:
        "an echo request to a VIP: answered";
    TellTooBig = 13 "tell_too_big" Transmit:
        "larger than the path's MTU once encapsulated: the client was told the length that fits";
    TellTooBigRouted = 14 "tell_too_big_routed" Pass:
        "too large to be handed on to another node: the kernel was given the message that tells the client";
    PassKubeProxy = 15 "pass_kube_proxy" Pass:
        "passed to the kernel: kube-proxy carries this port";
    DropNoSuchPort = 32 "no_such_port" Drop:
        "no service of this VIP has this port and protocol",
        "add the port to a Service with this address, or have the client use one of its ports (`trigon services`)";
    DropOtherProtocol = 33 "other_protocol" Drop:
        "to a VIP, but neither TCP nor UDP",
        "use TCP or UDP: a service takes nothing else";
    DropFragment = 34 "fragment" Drop:
        "a later fragment to a VIP that came before the first, or without it, or more than 30 s after it",
        "if there are many: have routers and NICs keep the fragments of a packet in order, by a hash over addresses alone, and see that --fragments suffices";
    DropOptions = 35 "ip_options" Drop:
        "to a VIP with more IPv6 extension headers than are followed, or with a route that is not at its end",
        "have the sender leave the headers out";
    DropTruncated = 36 "truncated" Drop:
        "to a VIP, but shorter than its headers say",
        "look on the path for what cuts packets short: a NIC with LRO, a tap, a faulty sender";
    DropSourceRange = 37 "source_range" Drop:
        "from a client in none of the service's loadBalancerSourceRanges",
        "if the client is to be served, add its address to the Service's loadBalancerSourceRanges";
    DropNoBackend = 38 "no_backend" Drop:
        "the service has no endpoint on any node, ready or not",
        "make a Pod of the service ready: `kubectl get endpointslices`; `trigon services` shows its backends";
    DropUnresolved = 39 "next_hop_unresolved" Drop:
        "the next hop's MAC address towards the backend is not known",
        "see `trigon status` for why the next hop is not known: a route, a link, or a neighbour that does not answer";
    DropTooBig = 40 "too_big" Drop:
        "larger than the path's MTU once encapsulated, and the client could not be told, or was told too often",
        "raise the MTU between directors and nodes by what the encapsulation needs, or lower it on the clients' side";
    DropHopLimit = 41 "hop_limit" Drop:
        "its TTL or hop limit ended at this director",
        "look for a routing loop before this director, or raise the sender's TTL";
    DropIcmp = 42 "icmp" Drop:
        "ICMP to a VIP, but neither an echo request to be answered nor an error about TCP or UDP of this VIP",
        "none for odd messages; with `--answer-echo true`, directors answer pings while a backend of the VIP takes connections (`trigon services`), and nodes never do";
    DropIcmpFlow = 43 "icmp_unknown_flow" Drop:
        "an ICMP error about a flow that nobody knows",
        "none is needed: the error came after the connection's end, or was forged";
    DropTunnelPort = 44 "tunnel_no_such_port" Drop:
        "from a director, to a VIP of ours, but this node knows no service with this port and protocol",
        "wait until this node has the service too; if it lasts, give its agent the same objects: `trigon status` on both";
    DropNoEndpoint = 45 "no_endpoint" Drop:
        "chosen as the owner, but this node has no endpoint of the service that takes new connections",
        "see `trigon services` for what is ready, and wait until the directors follow; if it lasts, give director and node the same objects: `trigon status` on both";
    DropFlowTable = 46 "flow_table" Drop:
        "the flow could not be remembered",
        "see the kernel's log for a lack of memory, or raise --node-flows";
    DropSpoofed = 47 "spoofed" Drop:
        "its source is an address that no client has: a VIP, loopback, multicast or none",
        "have the routers drop packets from addresses that are not behind them (BCP 38)";
    DropNewFlow = 48 "new_flows" Drop:
        "would begin a flow, beyond the service's trigon.dev/new-flows-per-second",
        "look for who opens so many connections; if they are wanted, raise the Service's trigon.dev/new-flows-per-second";
    DropSamePort = 49 "same_port" Drop:
        "the client's address and port lead to this endpoint by too many other services already",
        "have the client use more ports of its own, or put the services on Pods or target ports of their own";
    DropNoRoom = 50 "no_headroom" Drop:
        "the driver left no room for the outer header",
        "use another driver or --xdp-mode generic: this one leaves no headroom before packets";
    DropStray = 51 "stray" Drop:
        "of a flow that nobody here knows, beyond what is handed on in a second",
        "look for who sends packets of connections that are not there: a scan, a flood, or a client that was cut off long ago";
    DropDeadOwner = 52 "dead_owner" Drop:
        "of a flow that no answering node knows, but perhaps one that does not answer",
        "bring the node back that `trigon backends` shows as dead; without its Node object, such clients are told that the connection is over";
    DropCongestion = 53 "congestion" Drop:
        "congestion met in the tunnel could not be marked on a packet that does not know ECN",
        "relieve the congested link between director and node, or turn ECN on at the client";
    EgressPass = 96 "egress_pass" Pass:
        "leaves as it is: not a reply of ours";
    EgressReply = 97 "egress_reply" Pass:
        "a reply: leaves with the VIP as its source";
    EgressDropRewrite = 98 "egress_rewrite_failed" Drop:
        "a reply whose source could not be rewritten",
        "report it: the kernel refused to change a packet of its own";
    EgressCheck = 99 "egress_check" Pass:
        "the agent's check of a bare server: leaves by the way of traffic to it";
    EgressDropCheck = 100 "egress_check_failed" Drop:
        "the agent's check of a bare server that could not be sent by the way of traffic to it",
        "look at the server in `trigon backends`: its next hop must answer, and be behind an --interface that has a route to the VIP";
    EgressReturn = 101 "egress_return" Redirect:
        "a reply to a client on this node: turned round, with the VIP as its source, and taken in again";
}

const ACTION_BITS: u32 = 2;

/// The fates of the verdicts below 32, [`ACTION_BITS`] each and [`Fate::Drop`] being 0. All
/// others of ingress drop.
const ACTIONS: u64 = {
    let (mut actions, mut index) = (0, 0);
    while index < ALL.len() {
        let verdict = ALL[index];
        let shift = verdict as u32 * ACTION_BITS;
        if shift < u64::BITS {
            actions |= ((verdict.fate() as u32 - Fate::Drop as u32) as u64) << shift;
        }
        index += 1;
    }
    actions
};

impl Verdict {
    /// All numbers are below this. It is the length of `VERDICTS`, and so part of the layout of
    /// what is pinned.
    pub const LIMIT: u32 = 128;

    /// All verdicts, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Verdict> {
        ALL.iter().copied()
    }

    /// None if this release has no verdict with this number.
    pub fn from_number(number: u32) -> Option<Verdict> {
        Self::all().find(|verdict| *verdict as u32 == number)
    }

    /// What the kernel is told at ingress; the verdicts of egress have no meaning there.
    /// A shift instead of a comparison for each range of verdicts.
    #[inline(always)]
    pub const fn xdp_action(self) -> u32 {
        let shift = self as u32 * ACTION_BITS;
        if shift < u64::BITS { Fate::Drop as u32 + (ACTIONS >> shift) as u32 % 4 } else { Fate::Drop as u32 }
    }

    /// Does the packet go to a backend or another node, rather than back to
    /// where it came from?
    #[inline(always)]
    pub const fn leaves_for_backend(self) -> bool {
        matches!(
            self,
            Self::ForwardL2
                | Self::ForwardIpip
                | Self::ForwardGue
                | Self::HandOn
                | Self::RedirectL2
                | Self::RedirectIpip
                | Self::RedirectGue
                | Self::HandOnRedirect
        )
    }
}

#[cfg(test)]
mod tests;
