//! Packets of flows that this node does not know: on to those who may.

mod affinity;
mod changes;
mod dead;
mod ended;
mod found;
mod limit;
mod network;
mod opening;
mod search;
mod story;

use lb_common::gue::{self, MAGIC, TAGS};

use crate::{
    case::Case,
    expect::{source_port, within},
    packet::{Gue, frame},
    services::macs_to,
    world::{ARRIVING, FAMILIES, Family, Host, KINDS, Kind, NODE, Request, fellow},
};

pub fn cases() -> Vec<Case> {
    [search::cases()].into_iter().flatten().collect()
}

/// What nodes tell each other of a packet: how many it has been to, or one of
/// the words in place of that; and which.
#[derive(Clone)]
struct Trail {
    hops: u8,
    been: Vec<Host>,
}

/// The search is over: it ends where it arrives.
const OVER: u8 = 0xff;
/// To who is said to know the flow.
const DIRECT: u8 = 0xfe;
/// Back to who searched, from who knows the flow.
const FOUND: u8 = 0xfd;

/// Searched for, by these.
fn been(hosts: &[Host]) -> Trail {
    Trail { hops: hosts.len() as u8, been: hosts.to_vec() }
}

/// By nobody.
fn direct() -> Trail {
    been(&[]).saying(DIRECT)
}

/// Nodes that are in nobody's list.
fn strangers(count: u8) -> Vec<Host> {
    (0..count).map(|n| fellow(100 + n)).collect()
}

impl Trail {
    /// With this in place of the count.
    fn saying(self, hops: u8) -> Self {
        Self { hops, ..self }
    }

    /// A node is known by its address, which is of the outer family.
    fn private_data(&self, outer: Family) -> Vec<u8> {
        let mut tags = self.been.iter().map(|host| gue::tag(&host.addr(outer))).collect::<Vec<_>>();
        tags.resize(TAGS, 0);
        let mut bytes = vec![MAGIC, self.hops];
        bytes.extend(tags.into_iter().flat_map(u16::to_ne_bytes));
        bytes
    }
}

/// As a fellow hands it on to this node.
fn from(outer: Family, number: u8, trail: &Trail, request: &Request) -> Vec<u8> {
    let gue = handed(outer, trail, request);
    frame(ARRIVING, &within(&gue, outer, fellow(number), NODE, request.hash()))
}

/// As this node hands it on to a fellow.
fn to(outer: Family, number: u8, trail: &Trail, request: &Request) -> Vec<u8> {
    let gue = handed(outer, trail, request);
    frame(macs_to(number), &within(&gue, outer, NODE, fellow(number), request.hash()))
}

fn handed(outer: Family, trail: &Trail, request: &Request) -> Gue {
    Gue::new(source_port(request), &trail.private_data(outer), &request.ip)
}

/// Each kind of packet, and the family in which nodes reach each other.
fn kinds_between_nodes() -> impl Iterator<Item = (Kind, Family)> {
    KINDS.into_iter().flat_map(|kind| FAMILIES.map(|outer| (kind, outer)))
}
