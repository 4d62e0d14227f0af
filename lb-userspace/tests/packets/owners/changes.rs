//! Rings change and flows stay, on many nodes at once.
//!
//! The clients of a round open flows while rings change at random, and go on to
//! send, by whatever ring the director has that moment.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    DIRECT, FOUND, OVER, Trail,
    network::{Journey, NODES, Network},
};
use crate::{
    random::Random,
    world::{DIRECTOR, FAMILIES, KINDS, Request, fellow},
};

const ROUNDS: u64 = 12;
const CHANGES: usize = 8;
const FLOWS_PER_CHANGE: u16 = 6;

struct Round<'a> {
    network: &'a mut Network,
    random: Random,
    /// The ring that all know, and the one that some may know already.
    old: BTreeSet<u8>,
    new: BTreeSet<u8>,
    /// Client ports, and where their flows are.
    flows: BTreeMap<u16, u8>,
    next_port: u16,
}

impl<'a> Round<'a> {
    fn new(network: &'a mut Network, seed: u64) -> Self {
        network.restart_all();
        let mut random = Random::new(seed);
        let members = random_members(&mut random);
        (1..=NODES).for_each(|number| network.learn_ring(number, &members));
        Self {
            network,
            random,
            old: members.clone(),
            new: members,
            flows: BTreeMap::new(),
            next_port: 40_000,
        }
    }

    /// Choose a new ring. Nodes for which `is_heard` is true hear of it before flows
    /// continue, all others afterwards.
    fn change_ring(&mut self, is_heard: impl Fn(&mut Random) -> bool) {
        self.new = random_members(&mut self.random);
        let late: Vec<_> =
            (1..=NODES).filter(|number| !self.announce_ring_if_heard(*number, &is_heard)).collect();
        self.continue_flows();
        for number in late {
            self.network.learn_ring(number, &self.new);
        }
        self.old = self.new.clone();
    }

    fn announce_ring_if_heard(&mut self, number: u8, is_heard: impl Fn(&mut Random) -> bool) -> bool {
        let hears = is_heard(&mut self.random);
        if hears {
            self.network.learn_ring(number, &self.new);
        }
        hears
    }

    fn continue_flows(&mut self) {
        for port in self.flows.keys().copied().collect::<Vec<_>>() {
            let packet = self.network.packet(port).into_later_packet();
            let journey = self.send_by_either_ring(&packet).unwrap();
            let holder = self.flows[&port];
            assert_eq!(journey.last_node(), holder, "{journey:?}, from {:?} to {:?}", self.old, self.new);
            // The first packet may be searched for; what follows goes straight, if
            // whoever has the flow knows of the one who searched: not all have
            // heard of a change as long as it goes round.
            let first = journey.0[0];
            let again = self.network.send(first, &packet);
            let straight = if first == holder { vec![holder] } else { vec![first, holder] };
            let may_search = self.old != self.new;
            assert!(again == Some(Journey(straight)) || may_search && again == Some(journey), "{again:?}");
        }
        for _ in 0..FLOWS_PER_CHANGE {
            let first = self.network.packet(self.next_port);
            if let Some(journey) = self.send_by_either_ring(&first) {
                self.flows.insert(self.next_port, journey.last_node());
            }
            self.next_port += 1;
        }
        self.send_packet_of_no_flow();
    }

    /// Send a packet of some flow or of none, with a random trail, from any peer to any
    /// node.
    fn send_forgery(&mut self) {
        let anybody = |random: &mut Random| 1 + random.next_below(usize::from(NODES)) as u8;
        let port = 40_000 + self.random.next_below(usize::from(self.next_port - 40_000) + 5) as u16;
        let packet = self.network.packet(port);
        let packet = if self.random.next_below(4) == 0 { packet } else { packet.into_later_packet() };
        let hops = *self.random.choose(&[0, 1, 2, 6, 7, 8, 0x80, 0xfc, FOUND, DIRECT, OVER]);
        let tags = self.random.next_below(8);
        let been = (0..tags).map(|_| fellow(anybody(&mut self.random))).collect();
        let trail = Trail { hops, visited: been };
        let to = anybody(&mut self.random);
        let from = match anybody(&mut self.random) {
            number if number == to => DIRECTOR,
            number => fellow(number),
        };
        // That it ends is all that is asked for.
        let _ = self.network.send_from(from, &trail.private_data(self.network.outer), to, &packet);
    }

    /// A node comes back without its history, and without flows.
    fn restart_random_node(&mut self) {
        let number = 1 + self.random.next_below(usize::from(NODES)) as u8;
        self.network.restart(number);
        self.network.learn_ring(number, &self.new);
        self.flows.retain(|_, holder| *holder != number);
    }

    /// Send a packet to its owner by the old ring or by the new one, at random.
    fn send_by_either_ring(&mut self, packet: &Request) -> Option<Journey> {
        let ring = if self.random.next_below(2) == 0 { &self.old } else { &self.new };
        self.network.send(Network::slot_owner(packet, ring), packet)
    }

    /// Send a packet of no flow. When all nodes know the ring, its owner delivers it.
    fn send_packet_of_no_flow(&mut self) {
        let packet = self.network.packet(self.next_port).into_later_packet();
        self.next_port += 1;
        let journey = self.send_by_either_ring(&packet);
        if self.old == self.new {
            assert_eq!(journey.unwrap().last_node(), Network::slot_owner(&packet, &self.new));
        }
    }
}

/// Whatever trail a packet carries, it is handed on a limited number of times.
#[test]
fn no_forged_trail_makes_a_packet_loop() {
    for mut network in networks() {
        for seed in 0..ROUNDS {
            let mut round = Round::new(&mut network, seed);
            for _ in 0..CHANGES {
                round.change_ring(|random| random.next_below(2) == 0);
                (0..50).for_each(|_| round.send_forgery());
                round.flows.clear();
            }
        }
    }
}

/// Random nodes, at least two.
fn random_members(random: &mut Random) -> BTreeSet<u8> {
    let count = 2 + random.next_below(usize::from(NODES) - 1);
    let mut members = BTreeSet::new();
    while members.len() < count {
        members.insert(1 + random.next_below(usize::from(NODES)) as u8);
    }
    members
}

/// Kinds of packets between nodes, two of the eight that there are.
fn networks() -> [Network; 2] {
    let [tcp, _, _, udp] = KINDS;
    let [v4, v6] = FAMILIES;
    [Network::new(tcp, v4), Network::new(udp, v6)]
}

#[test]
fn flows_stay_where_they_are_when_rings_change() {
    for mut network in networks() {
        for seed in 0..ROUNDS {
            let mut round = Round::new(&mut network, seed);
            for _ in 0..CHANGES {
                round.continue_flows();
                round.change_ring(|_| true);
            }
        }
    }
}

/// One node after the other hears of a change, the directors some time between.
#[test]
fn flows_stay_where_they_are_while_changes_go_round() {
    for mut network in networks() {
        for seed in 0..ROUNDS {
            let mut round = Round::new(&mut network, seed);
            for _ in 0..CHANGES {
                round.change_ring(|random| random.next_below(2) == 0);
            }
        }
    }
}

/// The lists of a node that is new have less in them, but those who had its
/// slots before know more.
#[test]
fn flows_are_found_by_nodes_that_are_new() {
    for mut network in networks() {
        for seed in 0..ROUNDS {
            let mut round = Round::new(&mut network, seed);
            for _ in 0..CHANGES {
                round.continue_flows();
                round.restart_random_node();
                round.change_ring(|_| true);
            }
        }
    }
}
