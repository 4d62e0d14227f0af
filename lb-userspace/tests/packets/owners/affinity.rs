//! Clients that stay with their endpoint when the slot changes hands: the new
//! owner asks who had it before, who knows the client and not only its flows.

use lb_common::{
    Verdict::{Deliver, HandOn},
    maps::{Affinity, names},
};

use super::{DIRECT, FOUND, OVER, Trail, frame_from_fellow, frame_to_fellow, kinds_between_nodes, trail_of};
use crate::{
    case::{Given, arrives},
    expect::at_endpoint,
    machine::{AS_NODE, Machine},
    services::{AFFINITY, STICKY_OWNED, monotonic_seconds, port_over},
    world::{Family, Kind, NODE, Request, fellow, pod},
};

struct OwnerAffinityStory {
    machine: Machine,
    kind: Kind,
    outer: Family,
}

impl OwnerAffinityStory {
    fn all() -> impl Iterator<Item = Self> {
        kinds_between_nodes().map(|(kind, outer)| Self { machine: Machine::new(AS_NODE), kind, outer })
    }

    /// The first packet of a flow.
    fn opening_packet(&self, client_port: u16) -> Request {
        self.kind.request(port_over(self.outer, STICKY_OWNED)).with_client_port(client_port)
    }

    fn given(&self, request: &Request, input: Vec<u8>) -> Given {
        arrives(format!("{} over {:?} from {}", self.kind, self.outer, request.client_port()), AS_NODE, input)
    }

    fn given_from_fellow(&self, request: &Request, trail: &Trail) -> Given {
        self.given(request, frame_from_fellow(self.outer, 1, trail, request))
    }

    fn is_handed_on(&self, given: Given, request: &Request, trail: &Trail) {
        let output = frame_to_fellow(self.outer, 1, trail, request);
        given.becomes(HandOn, output).for_service(request).assert_on(&self.machine);
    }

    fn is_delivered(&self, given: Given, request: &Request) {
        let output = at_endpoint(request, pod(1)).frame();
        given.becomes(Deliver, output).for_service(request).assert_on(&self.machine);
    }

    /// Its slots changed hands so many seconds ago: never (0), if the machine was not up then.
    fn set_changed_ago(&mut self, ago: u32) {
        let service = (self.kind, port_over(self.outer, STICKY_OWNED));
        self.machine
            .set_service(service, |service| service.changed = monotonic_seconds().saturating_sub(ago));
    }
}

#[test]
fn the_former_owner_of_a_client_is_found_and_gets_all_its_flows() {
    for story in OwnerAffinityStory::all() {
        let (first, second) = (story.opening_packet(40_000), story.opening_packet(40_001));
        let nobody = trail_of(&[NODE]);
        story.is_handed_on(story.given(&first, first.frame()), &first, &nobody);
        let direct = nobody.clone().with_word(DIRECT);
        story.is_handed_on(story.given_from_fellow(&first, &nobody.with_word(FOUND)), &first, &direct);
        // Later packets and other flows go there without a search.
        let fresh = trail_of(&[]).with_word(DIRECT);
        for request in [first.clone(), first.into_later_packet(), second.clone(), second.into_later_packet()]
        {
            story.is_handed_on(story.given(&request, request.frame()), &request, &fresh);
        }
    }
}

/// Much later too: as long as it is known where the client is.
#[test]
fn a_client_that_was_found_is_followed_beyond_the_window() {
    for mut story in OwnerAffinityStory::all() {
        let first = story.opening_packet(40_000);
        let nobody = trail_of(&[NODE]);
        let direct = nobody.clone().with_word(DIRECT);
        story.is_handed_on(story.given_from_fellow(&first, &nobody.with_word(FOUND)), &first, &direct);
        story.set_changed_ago(AFFINITY + 10_000);
        let second = story.opening_packet(40_001);
        story.is_handed_on(story.given(&second, second.frame()), &second, &trail_of(&[]).with_word(DIRECT));
        // It is back: the client was idle for too long there.
        let over = trail_of(&[]).with_word(OVER);
        story.is_delivered(story.given_from_fellow(&second, &over), &second);
        // So it is known here from now on.
        let third = story.opening_packet(40_002);
        story.is_delivered(story.given(&third, third.frame()), &third);
    }
}

#[test]
fn nobody_knows_the_client_and_it_stays_with_the_owner() {
    for story in OwnerAffinityStory::all() {
        let (first, second) = (story.opening_packet(40_000), story.opening_packet(40_001));
        story.is_handed_on(story.given(&first, first.frame()), &first, &trail_of(&[NODE]));
        story.is_delivered(
            story.given_from_fellow(&first, &trail_of(&[NODE, fellow(1)]).with_word(OVER)),
            &first,
        );
        story.is_delivered(story.given(&second, second.frame()), &second);
    }
}

#[test]
fn after_the_window_nobody_is_asked() {
    for mut story in OwnerAffinityStory::all() {
        // Of datagrams it is no shorter than where there is no affinity.
        story.set_changed_ago(AFFINITY.max(120) + 2);
        let first = story.opening_packet(40_000);
        story.is_delivered(story.given(&first, first.frame()), &first);
    }
}

/// This node is the former owner here, and a fellow asks.
#[test]
fn a_former_owner_that_knows_the_client_answers_found() {
    for mut story in OwnerAffinityStory::all() {
        let (first, second) = (story.opening_packet(40_000), story.opening_packet(40_001));
        story.set_changed_ago(AFFINITY.max(120) + 2);
        story.is_delivered(story.given(&first, first.frame()), &first);
        let asked = trail_of(&[fellow(1)]);
        story.is_handed_on(
            story.given_from_fellow(&second, &asked),
            &second,
            &asked.clone().with_word(FOUND),
        );
        story.is_delivered(story.given_from_fellow(&second, &asked.clone().with_word(DIRECT)), &second);
        if story.kind.is_tcp {
            // Of a flow that did not begin here, the client says nothing.
            let stranger = story.opening_packet(40_002).into_later_packet();
            story.is_handed_on(
                story.given_from_fellow(&stranger, &asked.clone().with_word(DIRECT)),
                &stranger,
                &asked.clone().with_word(OVER),
            );
        }
    }
}

#[test]
fn a_former_owner_does_not_answer_for_a_client_that_was_idle_too_long() {
    for mut story in OwnerAffinityStory::all() {
        let (first, second) = (story.opening_packet(40_000), story.opening_packet(40_001));
        story.set_changed_ago(AFFINITY.max(120) + 2);
        story.is_delivered(story.given(&first, first.frame()), &first);
        let key = lb_common::maps::FlowKey { client_port: 0, ..first.flow() };
        let affinity: Affinity = story.machine.map(names::AFFINITIES).get(&key, 0).unwrap();
        let old = Affinity { used: monotonic_seconds() - AFFINITY - 1, ..affinity };
        story.machine.map(names::AFFINITIES).insert(key, old, 0).unwrap();
        let direct = trail_of(&[fellow(1)]).with_word(DIRECT);
        story.is_handed_on(
            story.given_from_fellow(&second, &direct),
            &second,
            &direct.clone().with_word(OVER),
        );
    }
}
