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
        network.begin_anew();
        let mut random = Random::new(seed);
        let members = some_of(&mut random);
        (1..=NODES).for_each(|number| network.hear(number, &members));
        Self {
            network,
            random,
            old: members.clone(),
            new: members,
            flows: BTreeMap::new(),
            next_port: 40_000,
        }
    }

    /// Only this much of a change gets round; with the next one, all of it.
    fn change(&mut self, is_heard: impl Fn(&mut Random) -> bool) {
        self.new = some_of(&mut self.random);
        let late: Vec<_> = (1..=NODES).filter(|number| !self.hears(*number, &is_heard)).collect();
        self.flows_go_on();
        for number in late {
            self.network.hear(number, &self.new);
        }
        self.old = self.new.clone();
    }

    fn hears(&mut self, number: u8, is_heard: impl Fn(&mut Random) -> bool) -> bool {
        let hears = is_heard(&mut self.random);
        if hears {
            self.network.hear(number, &self.new);
        }
        hears
    }

    fn flows_go_on(&mut self) {
        for port in self.flows.keys().copied().collect::<Vec<_>>() {
            let packet = self.network.packet(port).later();
            let journey = self.goes(&packet).unwrap();
            let holder = self.flows[&port];
            assert_eq!(journey.end(), holder, "{journey:?}, from {:?} to {:?}", self.old, self.new);
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
            if let Some(journey) = self.goes(&first) {
                self.flows.insert(self.next_port, journey.end());
            }
            self.next_port += 1;
        }
        self.nobodys_packet();
    }

    /// Of a flow, or of none; from anybody to anybody.
    fn forgery(&mut self) {
        let anybody = |random: &mut Random| 1 + random.below(usize::from(NODES)) as u8;
        let port = 40_000 + self.random.below(usize::from(self.next_port - 40_000) + 5) as u16;
        let packet = self.network.packet(port);
        let packet = if self.random.below(4) == 0 { packet } else { packet.later() };
        let hops = *self.random.choose(&[0, 1, 2, 6, 7, 8, 0x80, 0xfc, FOUND, DIRECT, OVER]);
        let tags = self.random.below(8);
        let been = (0..tags).map(|_| fellow(anybody(&mut self.random))).collect();
        let trail = Trail { hops, been };
        let to = anybody(&mut self.random);
        let from = match anybody(&mut self.random) {
            number if number == to => DIRECTOR,
            number => fellow(number),
        };
        // That it ends is all that is asked for.
        let _ = self.network.send_from(from, &trail.private_data(self.network.outer), to, &packet);
    }

    /// A node comes back without its history, and without flows.
    fn someone_restarts(&mut self) {
        let number = 1 + self.random.below(usize::from(NODES)) as u8;
        self.network.restart(number);
        self.network.hear(number, &self.new);
        self.flows.retain(|_, holder| *holder != number);
    }

    /// By either ring.
    fn goes(&mut self, packet: &Request) -> Option<Journey> {
        let ring = if self.random.below(2) == 0 { &self.old } else { &self.new };
        self.network.send(Network::owner(packet, ring), packet)
    }

    /// When all know the ring, it is the owner who answers it.
    fn nobodys_packet(&mut self) {
        let packet = self.network.packet(self.next_port).later();
        self.next_port += 1;
        let journey = self.goes(&packet);
        if self.old == self.new {
            assert_eq!(journey.unwrap().end(), Network::owner(&packet, &self.new));
        }
    }
}

/// Whatever a packet says of its way so far, it comes to an end.
#[test]
fn no_words_send_a_packet_round() {
    for mut network in networks() {
        for seed in 0..ROUNDS {
            let mut round = Round::new(&mut network, seed);
            for _ in 0..CHANGES {
                round.change(|random| random.below(2) == 0);
                (0..50).for_each(|_| round.forgery());
                round.flows.clear();
            }
        }
    }
}

/// At least two of the nodes.
fn some_of(random: &mut Random) -> BTreeSet<u8> {
    let count = 2 + random.below(usize::from(NODES) - 1);
    let mut members = BTreeSet::new();
    while members.len() < count {
        members.insert(1 + random.below(usize::from(NODES)) as u8);
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
                round.flows_go_on();
                round.change(|_| true);
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
                round.change(|random| random.below(2) == 0);
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
                round.flows_go_on();
                round.someone_restarts();
                round.change(|_| true);
            }
        }
    }
}
