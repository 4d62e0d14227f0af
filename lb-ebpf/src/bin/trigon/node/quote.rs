//! ICMP errors about a flow, on their way to its endpoint.

use lb_common::Verdict;
use lb_ebpf::{cursor::Cursor, parse::Packet, rewrite::quote};

use crate::{maps, scratch};

/// Rewrite destination, and quoted source address and both ports, to the
/// endpoint of the flow that was just looked up.
#[inline(never)]
pub fn destination(cursor: &Cursor, packet: &Packet) -> Verdict {
    let Some(scratch) = scratch::flow() else { return Verdict::DropFlowTable };
    let Some(to) = maps::node_flow(&scratch.flow) else { return Verdict::DropIcmpFlow };
    if quote::rewrite(cursor, packet, to).is_some() { Verdict::Deliver } else { Verdict::DropTruncated }
}
