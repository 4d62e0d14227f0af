//! Clients that stay with their endpoint, whatever port they come from.

use std::collections::BTreeSet;

use lb_common::{
    Verdict::{Deliver, ForwardL2},
    hash,
    maps::{
        Affinity, FlowKey, names,
        service_flags::{self, INCARNATION_SHIFT},
    },
};

use crate::{
    case::arrives,
    expect::{at_endpoint, by_mac, from_director},
    machine::{AS_DIRECTOR, AS_NODE, Machine, slot_of},
    services::{AFFINITY, L2, LOCAL_THREE, RING_LEN, STICKY, TO_BACKEND, monotonic_seconds},
    world::{KINDS, Kind, Request, pod},
};

struct NodeAffinityStory {
    machine: Machine,
    kind: Kind,
}

impl NodeAffinityStory {
    fn new(kind: Kind) -> Self {
        Self { machine: Machine::new(AS_NODE), kind }
    }

    fn request(&self, client_port: u16) -> Request {
        self.kind.request(STICKY).with_client_port(client_port)
    }

    fn goes_to(&self, request: &Request, number: u8) {
        let output = at_endpoint(request, pod(number)).frame();
        let name = format!("{} from {} to {number}", self.kind, request.client_port());
        let given = arrives(name, AS_NODE, from_director(self.kind.family, &request.ip));
        given.becomes(Deliver, output).for_service(request).assert_on(&self.machine);
    }

    /// The Pods that are there now, by their number.
    fn set_endpoints(&mut self, numbers: &[u8]) {
        for (index, number) in (0..).zip(numbers) {
            self.machine.set_endpoint((self.kind, STICKY), index, pod(*number));
        }
        for number in 1..=9 {
            let drained = if numbers.contains(&number) { 0 } else { monotonic_seconds() };
            self.machine.set_drained((self.kind, STICKY), pod(number), drained);
        }
        let count = numbers.len() as u32;
        self.machine.set_service((self.kind, STICKY), |service| {
            service.endpoints = count;
            service.generation += 1;
        });
    }

    fn affinities(&mut self) -> Vec<(FlowKey, Affinity)> {
        self.machine.map(names::AFFINITIES).iter().map(Result::unwrap).collect()
    }

    /// The client was here last so many seconds ago.
    fn set_idle_for(&mut self, seconds: u32) {
        for (key, affinity) in self.affinities() {
            let affinity = Affinity { used: monotonic_seconds() - seconds, ..affinity };
            self.machine.map(names::AFFINITIES).insert(key, affinity, 0).unwrap();
        }
    }
}

/// Which of three the client's address leads to.
fn first_choice(kind: Kind) -> u8 {
    hash::endpoint(kind.request(STICKY).hash(), 3) as u8 + 1
}

#[test]
fn all_flows_of_a_client_go_to_one_endpoint() {
    for kind in KINDS {
        let mut story = NodeAffinityStory::new(kind);
        let number = first_choice(kind);
        for port in 40_000..40_020 {
            story.goes_to(&story.request(port), number);
        }
        let request = story.request(40_000);
        let affinities = story.affinities();
        let [(key, affinity)] = affinities.as_slice() else { panic!("{affinities:?}") };
        assert_eq!(*key, FlowKey { client_port: 0, ..request.flow() });
        assert_eq!((affinity.slot, affinity.epoch), (slot_of(request.service(), pod(number)), 1));
        assert!(monotonic_seconds() - affinity.used < 60);
    }
}

#[test]
fn a_client_stays_while_other_endpoints_come_and_go() {
    for kind in KINDS {
        let mut story = NodeAffinityStory::new(kind);
        let number = first_choice(kind);
        story.goes_to(&story.request(40_000), number);
        // Wherever its hash leads now, it is one of the others.
        story.set_endpoints(&[7, 8, 9, number, 7, 8, 9]);
        for port in 40_001..40_004 {
            story.goes_to(&story.request(port), number);
        }
        story.set_endpoints(&[number]);
        story.goes_to(&story.request(40_005), number);
    }
}

#[test]
fn a_client_whose_endpoint_is_gone_or_drains_gets_another_one_and_stays_there() {
    for kind in KINDS {
        let mut story = NodeAffinityStory::new(kind);
        let number = first_choice(kind);
        let old = story.request(40_000);
        story.goes_to(&old, number);
        story.set_endpoints(&[8]);
        story.goes_to(&story.request(40_001), 8);
        story.set_endpoints(&[number, 8, number]);
        story.goes_to(&story.request(40_002), 8);
        // A flow that exists keeps its endpoint.
        story.goes_to(&old.into_later_packet(), number);
    }
}

/// Neither its affinity nor its flows are found by packets to the service that has the id now.
#[test]
fn a_client_of_an_earlier_service_with_the_same_id_chooses_anew() {
    for kind in KINDS {
        let mut story = NodeAffinityStory::new(kind);
        let number = first_choice(kind);
        let old = story.request(40_000);
        story.goes_to(&old, number);
        story.set_endpoints(&[7, 7, 7, 7, number]);
        story.machine.set_service((kind, STICKY), |service| service.flags |= 1 << INCARNATION_SHIFT);
        let choice = hash::endpoint(old.hash(), 5);
        let now = if choice == 4 { number } else { 7 };
        story.goes_to(&old.into_later_packet(), now);
        story.goes_to(&story.request(40_001), now);
        let incarnations = story.affinities().into_iter().map(|(key, _)| key.incarnation);
        assert_eq!(incarnations.collect::<BTreeSet<_>>(), BTreeSet::from([0, 1]));
    }
}

#[test]
fn a_client_that_was_idle_for_too_long_chooses_anew() {
    for kind in KINDS {
        let mut story = NodeAffinityStory::new(kind);
        let number = first_choice(kind);
        story.goes_to(&story.request(40_000), number);
        story.set_endpoints(&[7, 7, 7, number]);
        story.set_idle_for(AFFINITY - 60);
        story.goes_to(&story.request(40_001), number);
        // That request has renewed the affinity.
        assert!(story.affinities().iter().all(|(_, affinity)| monotonic_seconds() - affinity.used < 40));
        story.set_idle_for(AFFINITY + 1);
        let choice = hash::endpoint(story.request(40_002).hash(), 4);
        story.goes_to(&story.request(40_002), if choice == 3 { number } else { 7 });
    }
}

/// The endpoint answers it with an RST: it must not decide where the next
/// connection goes.
#[test]
fn what_does_not_open_a_flow_is_not_remembered() {
    for kind in KINDS.into_iter().filter(|kind| kind.is_tcp) {
        let mut story = NodeAffinityStory::new(kind);
        story.goes_to(&story.request(40_000).into_later_packet(), first_choice(kind));
        assert_eq!(story.affinities(), []);
    }
}

#[test]
fn services_without_affinity_remember_no_clients() {
    for kind in KINDS {
        let mut story = NodeAffinityStory::new(kind);
        let request = kind.request(LOCAL_THREE);
        let number = hash::endpoint(request.hash(), 3) as u8 + 1;
        story.goes_to(&request, number);
        assert_eq!(story.affinities(), []);
    }
}

/// On the director too, only the client's address counts.
#[test]
fn a_director_sends_all_of_a_client_to_the_same_slot() {
    for kind in KINDS {
        let mut machine = Machine::new(AS_DIRECTOR);
        let mut slots = [0; RING_LEN as usize];
        let request = kind.request(STICKY);
        slots[hash::slot(request.hash(), RING_LEN) as usize] = 1;
        machine.set_ring(L2, &slots);
        machine.set_service((kind, L2), |service| service.flags = service_flags::AFFINITY);
        for port in 40_000..40_020 {
            let request = kind.request(L2).with_client_port(port);
            let given = arrives(format!("{kind} from {port}"), AS_DIRECTOR, request.frame());
            given
                .becomes(ForwardL2, by_mac(TO_BACKEND, &request))
                .for_its_backend(&request)
                .assert_on(&machine);
        }
    }
}
