//! ICMP errors about a flow, on their way to its endpoint.

use lb_common::Verdict;

use crate::{cursor::Cursor, maps::NODE_FLOWS, parse::Packet, rewrite::quote, scratch};

/// Rewrite destination, and quoted source address and both ports, to the
/// endpoint of the flow that was just looked up.
#[inline(never)]
pub fn destination(cursor: &Cursor, packet: &Packet) -> Verdict {
    let Some(scratch) = scratch::flow() else { return Verdict::DropFlowTable };
    // SAFETY: entries are replaced, never changed in place.
    let Some(to) = (unsafe { NODE_FLOWS.get(&scratch.flow) }) else { return Verdict::DropIcmpFlow };
    if quote::rewrite(cursor, packet, to).is_some() { Verdict::Deliver } else { Verdict::DropTruncated }
}
