//! What to do about packets that are dropped.

use super::Verdict as V;

impl V {
    /// What helps, as a sentence; none for what is no drop.
    pub const fn remedy(self) -> Option<&'static str> {
        Some(match self {
            V::DropNoSuchPort => {
                "add the port to a Service with this address, or have the client use one of its ports (`trigon services`)"
            }
            V::DropOtherProtocol => "use TCP or UDP: a service takes nothing else",
            V::DropFragment => {
                "if there are many: have the router send all fragments of a packet to one director, and see that --fragments suffices"
            }
            V::DropOptions => "have the sender leave the headers out",
            V::DropTruncated => {
                "look on the path for what cuts packets short: a NIC with LRO, a tap, a faulty sender"
            }
            V::DropSourceRange => {
                "if the client is to be served, add its address to the Service's loadBalancerSourceRanges"
            }
            V::DropNoBackend => {
                "make a Pod of the service ready: `kubectl get endpointslices`; `trigon services` shows its backends"
            }
            V::DropUnresolved => {
                "see `trigon status` for why the next hop is not known: a route, a link, or a neighbour that does not answer"
            }
            V::DropTooBig => {
                "raise the MTU between directors and nodes by what the encapsulation needs, or lower it on the clients' side"
            }
            V::DropIcmp => {
                "none for odd messages; `--answer-echo true` has directors answer pings, which nodes never do"
            }
            V::DropIcmpFlow => "none is needed: the error came after the connection's end, or was forged",
            V::DropHopLimit => "look for a routing loop before this director, or raise the sender's TTL",
            V::DropTunnelPort => {
                "wait until this node has the service too; if it lasts, give its agent the same objects: `trigon status` on both"
            }
            V::DropNoEndpoint => {
                "wait until the directors follow; if it lasts, give director and node the same objects: `trigon status` on both"
            }
            V::DropFlowTable => "see the kernel's log for a lack of memory, or raise --node-flows",
            V::DropSpoofed => {
                "have the routers drop packets from addresses that are not behind them (BCP 38)"
            }
            V::DropNewFlow => {
                "look for who opens so many connections; if they are wanted, raise the Service's trigon.dev/new-flows-per-second"
            }
            V::DropSamePort => {
                "have the client use more ports of its own, or put the services on Pods or target ports of their own"
            }
            V::DropNoRoom => {
                "use another driver or --xdp-mode generic: this one leaves no headroom before packets"
            }
            V::DropStray => {
                "look for who sends packets of connections that are not there: a scan, a flood, or a client that was cut off long ago"
            }
            V::DropDeadOwner => {
                "bring the node back that `trigon backends` shows as dead; without its Node object, such clients are told that the connection is over"
            }
            V::DropCongestion => {
                "relieve the congested link between director and node, or turn ECN on at the client"
            }
            V::EgressDropCheck => {
                "look at the server in `trigon backends`: its next hop must answer, and be behind an --interface that has a route to the VIP"
            }
            V::EgressDropRewrite => "report it: the kernel refused to change a packet of its own",
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Fate;

    #[test]
    fn there_is_a_remedy_for_every_drop_and_for_nothing_else() {
        for verdict in V::all() {
            assert_eq!(verdict.remedy().is_some(), verdict.fate() == Fate::Drop, "{verdict:?}");
        }
    }
}
