//! What the outer headers of a tunnel say of themselves. The kernel gets nothing of them to look at, so that they
//! are looked at here as it would.

use lb_common::Verdict::{DropTruncated, Pass, PassForeignTunnel};

use super::kinds_in_tunnels;
use crate::{
    case::{Case, Given, arrives, check_all},
    expect::{from_director, gue_packet},
    machine::AS_NODE,
    packet::{ETH_LEN, Gue, frame, sum},
    services::LOCAL,
    world::{ARRIVING, DIRECTOR, Family, Kind, NODE, Request},
};

/// As much as an Ethernet frame may be longer than what is in it.
const PADDING: [u8; 18] = [0xee; 18];

pub fn cases() -> Vec<Case> {
    kinds_in_tunnels().flat_map(|(kind, outer)| [in_ip(kind, outer), in_gue(kind, outer)]).flatten().collect()
}

/// A request in a tunnel over this family.
struct OuterCases {
    request: Request,
    outer: Family,
    tunnel: &'static str,
    good: Vec<u8>,
}

fn in_ip(kind: Kind, outer: Family) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let good = from_director(outer, &request.ip);
    let gate = OuterCases { request, outer, tunnel: "IP", good };
    // The inner packet is in the frame, but not all of the outer one.
    let too_long = gate.given("1 byte too long", gate.with_len_changed_by(1)).dropped(DropTruncated);
    [gate.wrong_checksums(), gate.too_short(), vec![too_long]].into_iter().flatten().collect()
}

fn in_gue(kind: Kind, outer: Family) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let good = frame(ARRIVING, &gue_packet(&Gue::new(0xc123, &[], &request.ip), outer, DIRECTOR, NODE, 0));
    let gate = OuterCases { request, outer, tunnel: "GUE", good };
    // It is UDP to the node then, and not whole.
    let too_long = gate.given("1 byte too long", gate.with_len_changed_by(1)).untouched(Pass);
    let tables = [gate.wrong_checksums(), gate.too_short(), gate.wrong_datagram_lengths(), vec![too_long]];
    tables.into_iter().flatten().collect()
}

impl OuterCases {
    fn given(&self, what: &str, input: Vec<u8>) -> Given {
        let (kind, tunnel, outer) = (self.request.kind, self.tunnel, self.outer);
        arrives(format!("{kind} in {tunnel} over {outer:?}, outer header: {what}"), AS_NODE, input)
    }

    fn header_len(&self) -> usize {
        Kind { family: self.outer, is_tcp: false }.header_len()
    }

    /// Only IPv4 has one.
    fn wrong_checksums(&self) -> Vec<Case> {
        let bits = if self.outer == Family::V4 { 0..16 } else { 0..0 };
        let case = |bit: usize| {
            let mut input = self.good.clone();
            input[ETH_LEN + 10 + bit / 8] ^= 1 << (bit % 8);
            self.given(&format!("checksum with bit {bit} wrong"), input).untouched(PassForeignTunnel)
        };
        bits.map(case).collect()
    }

    /// The inner packet ends in the padding of the frame.
    fn too_short(&self) -> Vec<Case> {
        let case = |missing: i16| {
            let input = [&self.with_len_changed_by(-missing)[..], &PADDING].concat();
            self.given(&format!("{missing} bytes too short"), input).dropped(DropTruncated)
        };
        [1, 4, 8].map(case).into()
    }

    /// The same of UDP, and beyond the packet.
    fn wrong_datagram_lengths(&self) -> Vec<Case> {
        let at = ETH_LEN + self.header_len() + 4;
        let right = u16::from_be_bytes([self.good[at], self.good[at + 1]]);
        let case = |len: u16| {
            let mut input = [&self.good[..], &PADDING].concat();
            input[at..at + 2].copy_from_slice(&len.to_be_bytes());
            self.given(&format!("a datagram of {len} bytes"), input).dropped(DropTruncated)
        };
        [0, 7, 8, right - 1, right + 1, u16::MAX].map(case).into()
    }

    /// With another length of the IP packet, and the checksum for it.
    fn with_len_changed_by(&self, more: i16) -> Vec<u8> {
        let mut frame = self.good.clone();
        let at = ETH_LEN + if self.outer == Family::V4 { 2 } else { 4 };
        let len = u16::from_be_bytes([frame[at], frame[at + 1]]);
        frame[at..at + 2].copy_from_slice(&len.wrapping_add_signed(more).to_be_bytes());
        if self.outer == Family::V4 {
            frame[ETH_LEN + 10..ETH_LEN + 12].fill(0);
            let check = !sum(&[&frame[ETH_LEN..ETH_LEN + 20]]);
            frame[ETH_LEN + 10..ETH_LEN + 12].copy_from_slice(&check.to_be_bytes());
        }
        frame
    }
}

#[test]
fn outer_headers_that_are_not_sound_deliver_nothing() {
    check_all(&cases());
}
