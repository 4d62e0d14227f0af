//! Truncated packets, and IP headers with wrong lengths.

use lb_common::Verdict::{DropTruncated, Pass, PassForeignTunnel};

use crate::{
    case::{Case, arrives, check_all},
    expect::from_director,
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE, Setup},
    packet::ETH_LEN,
    services::LOCAL,
    world::{FAMILIES, Family, KINDS, Kind},
};

pub fn cases() -> Vec<Case> {
    KINDS.into_iter().flat_map(cases_of_kind).collect()
}

fn cases_of_kind(kind: Kind) -> Vec<Case> {
    let mut cases = Vec::new();
    for setup in [AS_DIRECTOR, AS_NODE, AS_BOTH] {
        cases.extend(cut_anywhere(kind, setup));
        cases.extend(wrong_lengths(kind, setup));
    }
    for outer in FAMILIES {
        for setup in [AS_NODE, AS_BOTH] {
            cases.extend(tunnel_cut_anywhere(kind, outer, setup));
            cases.extend(wrong_lengths_in_a_tunnel(kind, outer, setup));
        }
    }
    cases
}

/// Cut at every byte from the Ethernet header on. Without a whole IP header it
/// passes; with one, it is known to be for a VIP, and dropped.
fn cut_anywhere(kind: Kind, setup: Setup) -> impl Iterator<Item = Case> {
    let whole = kind.request(LOCAL).frame();
    (ETH_LEN..whole.len()).map(move |len| {
        let name = format!("{kind} cut to {len} bytes on {setup}");
        let given = arrives(name, setup, whole[..len].to_vec());
        if len < ETH_LEN + kind.header_len() { given.untouched(Pass) } else { given.dropped(DropTruncated) }
    })
}

fn tunnel_cut_anywhere(kind: Kind, outer: Family, setup: Setup) -> impl Iterator<Item = Case> {
    let whole = from_director(outer, &kind.request(LOCAL).ip);
    let inner = ETH_LEN + header_len(outer);
    (ETH_LEN..whole.len()).map(move |len| {
        let name = format!("{kind} in {outer:?} cut to {len} bytes on {setup}");
        let given = arrives(name, setup, whole[..len].to_vec());
        match len {
            _ if len < inner => given.untouched(Pass),
            _ if len < inner + kind.header_len() => given.untouched(PassForeignTunnel),
            _ => given.dropped(DropTruncated),
        }
    })
}

fn header_len(family: Family) -> usize {
    Kind { family, is_tcp: true }.header_len()
}

/// Frames whose IP header has a length too short for ports, or longer than the
/// frame; each with the value of that field, in bytes.
fn frames_with_wrong_length(kind: Kind, frame: &[u8], l3: usize) -> Vec<(u16, Vec<u8>)> {
    let header = kind.header_len();
    // An IPv6 header does not count itself.
    let (at, uncounted) = match kind.family {
        Family::V4 => (l3 + 2, 0),
        Family::V6 => (l3 + 4, header),
    };
    let right = frame.len() - l3;
    let lengths = [0, 1, header - 1, header, header + 7, right + 1, right + 1000, usize::from(u16::MAX)];
    let said = lengths.into_iter().filter_map(|len| Some(len.checked_sub(uncounted)? as u16));
    said.map(|said| {
        let mut frame = frame.to_vec();
        frame[at..at + 2].copy_from_slice(&said.to_be_bytes());
        (said, frame)
    })
    .collect()
}

fn wrong_lengths(kind: Kind, setup: Setup) -> impl Iterator<Item = Case> {
    frames_with_wrong_length(kind, &kind.request(LOCAL).frame(), ETH_LEN).into_iter().map(
        move |(said, frame)| {
            let name = format!("{kind} with length {said} on {setup}");
            arrives(name, setup, frame).dropped(DropTruncated)
        },
    )
}

fn wrong_lengths_in_a_tunnel(kind: Kind, outer: Family, setup: Setup) -> impl Iterator<Item = Case> {
    let whole = from_director(outer, &kind.request(LOCAL).ip);
    frames_with_wrong_length(kind, &whole, ETH_LEN + header_len(outer)).into_iter().map(
        move |(said, frame)| {
            let name = format!("{kind} in {outer:?} with length {said} on {setup}");
            arrives(name, setup, frame).dropped(DropTruncated)
        },
    )
}

#[test]
fn packets_with_wrong_lengths_are_not_forwarded() {
    check_all(&cases());
}
