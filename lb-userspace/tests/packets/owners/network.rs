//! Several nodes joined together: what one hands on, the other gets.

use std::{collections::BTreeSet, net::IpAddr};

use lb_common::{
    Addr, hash,
    maps::{Backend, Peer, names},
    ring::Owners,
    roles,
};
use lb_userspace::plan::{history, maglev};

use crate::{
    expect::{at_endpoint, gue_packet, source_port},
    machine::{AS_NODE, Machine},
    packet::{ETH_LEN, Gue, frame},
    services::{self, OWNED, RING_LEN, macs_to_fellow, port_over},
    world::{ARRIVING, DIRECTOR, Family, Host, Kind, Request, fellow, pod},
};

/// As many as a list has room for. Each is the fellow of this number, and the
/// backend of this id, to all.
pub const NODES: u8 = 8;

/// Nodes of the longest journey, with repeats: the node that starts the search, seven
/// others, the starter again, a node that had the flow once, and the starter.
const LONGEST_JOURNEY: usize = 11;

const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

/// Nodes whose agents have seen the same rings, or not all of them yet.
pub struct Network {
    nodes: Vec<Node>,
    pub kind: Kind,
    pub outer: Family,
}

struct Node {
    machine: Machine,
    lists: Vec<Owners>,
    has_endpoint: bool,
}

/// The way of a packet: all the nodes it has been to, the last of which
/// delivered it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Journey(pub Vec<u8>);

impl Journey {
    pub fn last_node(&self) -> u8 {
        self.0[self.0.len() - 1]
    }
}

/// The ring of these nodes.
pub fn ring_of(members: &BTreeSet<u8>) -> Vec<u16> {
    let named: Vec<_> = members.iter().map(|number| (format!("node {number}"), 1)).collect();
    let ids: Vec<_> = members.iter().map(|number| u16::from(*number)).collect();
    maglev::table(&named, RING_LEN).into_iter().map(|index| ids[usize::from(index)]).collect()
}

impl Network {
    pub fn new(kind: Kind, outer: Family) -> Self {
        Self { nodes: (1..=NODES).map(|number| Node::new(number, outer)).collect(), kind, outer }
    }

    fn port(&self) -> u16 {
        port_over(self.outer, OWNED)
    }

    fn node(&mut self, number: u8) -> &mut Node {
        &mut self.nodes[usize::from(number) - 1]
    }

    /// Empty the flow tables and histories of all nodes.
    pub fn restart_all(&mut self) {
        (1..=NODES).for_each(|number| self.restart(number));
    }

    /// A node that has neither history nor flows any more.
    pub fn restart(&mut self, number: u8) {
        let node = self.node(number);
        node.lists.clear();
        node.machine.forget_flows();
    }

    /// A node hears of a new ring.
    pub fn learn_ring(&mut self, number: u8, members: &BTreeSet<u8>) {
        let (kind, port) = (self.kind, self.port());
        let mut others = members.clone();
        let is_member = others.remove(&number);
        let without_me = if is_member { ring_of(&others) } else { Vec::new() };
        let node = self.node(number);
        if node.lists.is_empty() {
            node.lists = history::resume(&[], &without_me, |_| true);
        }
        node.lists = history::advance(&node.lists, &ring_of(members), &[], |_| true);
        node.has_endpoint = is_member;
        node.machine.set_history(port, &node.lists);
        node.machine.set_service((kind, port), |service| {
            service.endpoints = u32::from(is_member);
            service.changed = services::monotonic_seconds();
        });
    }

    /// A packet from a client's port.
    pub fn packet(&self, client_port: u16) -> Request {
        self.kind.request(self.port()).with_client_port(client_port)
    }

    /// Who has the packet's slot.
    pub fn slot_owner(request: &Request, members: &BTreeSet<u8>) -> u8 {
        ring_of(members)[hash::slot(request.hash(), RING_LEN) as usize] as u8
    }

    /// A director sends a packet to a node. None if it ends where there is no
    /// endpoint.
    pub fn send(&self, first: u8, request: &Request) -> Option<Journey> {
        self.send_from(DIRECTOR, &[], first, request)
    }

    /// The same, from anybody, with private data.
    pub fn send_from(&self, from: Host, private: &[u8], first: u8, request: &Request) -> Option<Journey> {
        let gue = Gue::new(source_port(request), private, &request.ip);
        let mut packet = frame(ARRIVING, &gue_packet(&gue, self.outer, from, fellow(first), 0));
        let mut journey = Journey(vec![first]);
        while journey.0.len() <= LONGEST_JOURNEY {
            let node = &self.nodes[usize::from(journey.last_node()) - 1];
            let ran = node.machine.run_xdp(&packet);
            packet = ran.output;
            match ran.action {
                XDP_PASS => {
                    assert_eq!(packet[12..], at_endpoint(request, pod(1)).frame()[12..]);
                    return Some(journey);
                }
                XDP_TX => journey.0.push(self.addressee(&packet)),
                _ => {
                    assert!(!node.has_endpoint, "dropped: {journey:?}");
                    return None;
                }
            }
        }
        panic!("it goes round: {journey:?}");
    }

    /// The node to which a packet that was handed on is addressed.
    fn addressee(&self, packet: &[u8]) -> u8 {
        let to = match self.outer {
            Family::V4 => IpAddr::from(<[u8; 4]>::try_from(&packet[ETH_LEN + 16..][..4]).unwrap()),
            Family::V6 => IpAddr::from(<[u8; 16]>::try_from(&packet[ETH_LEN + 24..][..16]).unwrap()),
        };
        (1..=NODES).find(|number| fellow(*number).ip(self.outer) == to).unwrap()
    }
}

impl Node {
    fn new(me: u8, outer: Family) -> Self {
        let mut machine = Machine::new(AS_NODE);
        for number in 1..=NODES {
            machine.set_backend(u32::from(number), backend(outer, me, number));
        }
        let peer = |number: u8| {
            let own = if number == me { roles::SELF } else { 0 };
            (fellow(number), Peer { roles: roles::NODE | own, backend: u32::from(number) })
        };
        let peers = (1..=NODES).map(peer).chain([(DIRECTOR, Peer { roles: roles::DIRECTOR, backend: 0 })]);
        let mut map = machine.map::<Addr, Peer>(names::PEERS);
        let others: Vec<_> = map.keys().map(Result::unwrap).collect();
        others.iter().for_each(|addr| map.remove(addr).unwrap());
        peers.for_each(|(host, peer)| map.insert(host.addr(outer), peer, 0).unwrap());
        Self { machine, lists: Vec::new(), has_endpoint: false }
    }
}

/// A node, as another one reaches it.
fn backend(outer: Family, me: u8, number: u8) -> Backend {
    use lb_common::maps::{backend_flags, delivery};
    let (outer_src, outer_dst) = (fellow(me).addr(outer), fellow(number).addr(outer));
    Backend {
        macs: macs_to_fellow(number),
        ifindex: services::LOOPBACK_IFINDEX,
        outer_src,
        outer_dst,
        delivery: if outer == Family::V4 { delivery::GUE4 } else { delivery::GUE6 },
        flags: if me == number { backend_flags::LOCAL } else { backend_flags::RESOLVED },
        mtu: services::MTU as u16,
        outer_sum: Backend::outer_sum(&outer_src, &outer_dst),
        ..Backend::default()
    }
}
