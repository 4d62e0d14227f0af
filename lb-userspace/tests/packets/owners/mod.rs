//! Packets of flows that this node does not know: they are handed on to nodes that
//! may know them.

mod affinity;
mod changes;
mod dead;
mod ended;
mod found;
mod gathered;
mod limit;
mod network;
mod opening;
mod passing;
mod search;
mod story;

use lb_common::gue::{self, MAGIC, TAGS};

use crate::{
    case::Case,
    expect::{gue_packet, source_port},
    packet::{Gue, frame},
    services::macs_to_fellow,
    world::{ARRIVING, FAMILIES, Family, Host, KINDS, Kind, NODE, Request, fellow},
};

pub fn cases() -> Vec<Case> {
    [search::cases()].into_iter().flatten().collect()
}

/// The private data of a packet between nodes: how many nodes it has visited, or
/// one of the words in place of that number; and which nodes.
#[derive(Clone)]
struct Trail {
    hops: u8,
    visited: Vec<Host>,
}

/// The search is over: it ends where it arrives.
const OVER: u8 = 0xff;
/// To who is said to know the flow.
const DIRECT: u8 = 0xfe;
/// Back to who searched, from who knows the flow.
const FOUND: u8 = 0xfd;

/// Of a search that has visited these nodes.
fn trail_of(hosts: &[Host]) -> Trail {
    Trail { hops: hosts.len() as u8, visited: hosts.to_vec() }
}

/// Of a packet sent straight to who is said to know the flow, without a search.
fn direct_trail() -> Trail {
    trail_of(&[]).with_word(DIRECT)
}

/// Nodes that are in nobody's list.
fn strangers(count: u8) -> Vec<Host> {
    (0..count).map(|n| fellow(100 + n)).collect()
}

impl Trail {
    /// The same with this word in place of the number of nodes.
    fn with_word(self, hops: u8) -> Self {
        Self { hops, ..self }
    }

    /// A node is known by its address, which is of the outer family.
    fn private_data(&self, outer: Family) -> Vec<u8> {
        let mut tags = self.visited.iter().map(|host| gue::tag(&host.addr(outer))).collect::<Vec<_>>();
        tags.resize(TAGS, 0);
        let mut bytes = vec![MAGIC, self.hops];
        bytes.extend(tags.into_iter().flat_map(u16::to_ne_bytes));
        bytes
    }
}

/// As a fellow hands it on to this node.
fn frame_from_fellow(outer: Family, number: u8, trail: &Trail, request: &Request) -> Vec<u8> {
    let gue = gue_between_nodes(outer, trail, request);
    frame(ARRIVING, &gue_packet(&gue, outer, fellow(number), NODE, request.hash()))
}

/// As this node hands it on to a fellow.
fn frame_to_fellow(outer: Family, number: u8, trail: &Trail, request: &Request) -> Vec<u8> {
    let gue = gue_between_nodes(outer, trail, request);
    frame(macs_to_fellow(number), &gue_packet(&gue, outer, NODE, fellow(number), request.hash()))
}

fn gue_between_nodes(outer: Family, trail: &Trail, request: &Request) -> Gue {
    Gue::new(source_port(request), &trail.private_data(outer), &request.ip)
}

/// Each kind of packet, and the family in which nodes reach each other.
fn kinds_between_nodes() -> impl Iterator<Item = (Kind, Family)> {
    KINDS.into_iter().flat_map(|kind| FAMILIES.map(|outer| (kind, outer)))
}
