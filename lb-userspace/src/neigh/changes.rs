//! What the kernel announces of neighbours (`RTM_NEWNEIGH`, `RTM_DELNEIGH`). Pure.
//!
//! An announcement holds the entry as it was when the message was written, after the change and
//! without the entry's lock. So of two changes at the same time, on two CPUs, the earlier can be
//! announced last. What is wrong then is mended by the next announcement or the next reading.

use netlink_packet_core::{NetlinkBuffer, Parseable};
use netlink_packet_route::neighbour::NeighbourMessage;

use super::{
    decode,
    routing::{Neighbour, NeighbourKey},
};

/// Messages begin at multiples of this many bytes (`NLMSG_ALIGNTO`).
const ALIGNMENT: usize = 4;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NeighbourChange {
    pub key: NeighbourKey,
    /// As it is now; None: it was deleted.
    pub neighbour: Option<Neighbour>,
}

/// The changes that a datagram tells of, in order. What is not about neighbours, or cannot be
/// decoded, is left out: a reading would leave it out too.
pub fn decode_changes(datagram: &[u8]) -> Vec<NeighbourChange> {
    messages(datagram).filter_map(decode_change).collect()
}

/// Cuts a datagram into messages, up to the first whose length makes no sense.
fn messages(mut rest: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(rest).ok()?;
        let len = (message.length() as usize).next_multiple_of(ALIGNMENT);
        rest = rest.get(len..).unwrap_or_default();
        Some(message)
    })
}

fn decode_change(message: NetlinkBuffer<&[u8]>) -> Option<NeighbourChange> {
    let is_deletion = match message.message_type() {
        libc::RTM_NEWNEIGH => false,
        libc::RTM_DELNEIGH => true,
        _ => return None,
    };
    let (key, neighbour) = decode::neighbour(&NeighbourMessage::parse(message.payload()).ok()?)?;
    Some(NeighbourChange { key, neighbour: (!is_deletion).then_some(neighbour) })
}

#[cfg(test)]
mod tests;
