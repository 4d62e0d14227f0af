//! ICMP errors about a flow, on their way to its endpoint.

use lb_common::Verdict;
use lb_ebpf::{
    cursor::Cursor,
    parse::Packet,
    rewrite::{destination::Target, quote},
};

use super::known;
use crate::scratch;

/// Rewrite destination, and quoted source address and both ports, to the
/// endpoint of the flow that was just looked up; and if its client is inside,
/// source and quoted destination to the VIP, which the endpoint has sent to.
#[inline(never)]
pub fn destination(cursor: &Cursor, packet: &Packet) -> Verdict {
    let Some(scratch) = scratch::flow() else { return Verdict::DropFlowTable };
    let Some((flow, slot)) = known::flow(&scratch.flow, cursor, packet) else { return Verdict::DropIcmpFlow };
    let to = Target { endpoint: &slot.endpoint, client_port: flow.client_port };
    let is_done = quote::rewrite(cursor, packet, &to).is_some()
        && (!flow.is_inside() || quote::hide_client(cursor, packet).is_some());
    if is_done { Verdict::Deliver } else { Verdict::DropTruncated }
}
