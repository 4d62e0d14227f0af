//! Clients that stay with their endpoint when the slot changes hands: the new
//! owner asks who had it before, who knows the client and not only its flows.

use lb_common::{
    Verdict::{Deliver, HandOn},
    maps::{Affinity, names},
};

use super::{OVER, Trail, been, from, kinds_between_nodes, to};
use crate::{
    case::{Given, arrives},
    expect::at_endpoint,
    machine::{AS_NODE, Machine},
    services::{AFFINITY, STICKY_OWNED, now, over},
    world::{Family, Kind, NODE, Request, fellow, pod},
};

const DIRECT: u8 = 0xfe;
const FOUND: u8 = 0xfd;

struct Story {
    machine: Machine,
    kind: Kind,
    outer: Family,
}

impl Story {
    fn all() -> impl Iterator<Item = Self> {
        kinds_between_nodes().map(|(kind, outer)| Self { machine: Machine::new(AS_NODE), kind, outer })
    }

    /// The first packet of a flow.
    fn opening(&self, client_port: u16) -> Request {
        self.kind.request(over(self.outer, STICKY_OWNED)).with_client_port(client_port)
    }

    fn given(&self, request: &Request, input: Vec<u8>) -> Given {
        arrives(format!("{} over {:?} from {}", self.kind, self.outer, request.client_port()), AS_NODE, input)
    }

    fn by_fellow(&self, request: &Request, trail: &Trail) -> Given {
        self.given(request, from(self.outer, 1, trail, request))
    }

    fn goes_on(&self, given: Given, request: &Request, trail: &Trail) {
        let output = to(self.outer, 1, trail, request);
        given.becomes(HandOn, output).for_service(request).happens_on(&self.machine);
    }

    fn is_delivered(&self, given: Given, request: &Request) {
        let output = at_endpoint(request, pod(1)).frame();
        given.becomes(Deliver, output).for_service(request).happens_on(&self.machine);
    }

    /// Its slots changed hands so many seconds ago: never (0), if the machine was not up then.
    fn changed(&mut self, ago: u32) {
        let service = (self.kind, over(self.outer, STICKY_OWNED));
        self.machine.set_service(service, |service| service.changed = now().saturating_sub(ago));
    }
}

#[test]
fn the_former_owner_of_a_client_is_found_and_gets_all_its_flows() {
    for story in Story::all() {
        let (first, second) = (story.opening(40_000), story.opening(40_001));
        let nobody = been(&[NODE]);
        story.goes_on(story.given(&first, first.frame()), &first, &nobody);
        let direct = nobody.clone().saying(DIRECT);
        story.goes_on(story.by_fellow(&first, &nobody.saying(FOUND)), &first, &direct);
        // What follows, and other flows: nobody is searched for any more.
        let fresh = been(&[]).saying(DIRECT);
        for request in [first.clone(), first.later(), second.clone(), second.later()] {
            story.goes_on(story.given(&request, request.frame()), &request, &fresh);
        }
    }
}

/// Much later too: as long as it is known where the client is.
#[test]
fn a_client_that_was_found_is_followed_beyond_the_window() {
    for mut story in Story::all() {
        let first = story.opening(40_000);
        let nobody = been(&[NODE]);
        let direct = nobody.clone().saying(DIRECT);
        story.goes_on(story.by_fellow(&first, &nobody.saying(FOUND)), &first, &direct);
        story.changed(AFFINITY + 10_000);
        let second = story.opening(40_001);
        story.goes_on(story.given(&second, second.frame()), &second, &been(&[]).saying(DIRECT));
        // It is back: the client was idle for too long there.
        let over = been(&[]).saying(OVER);
        story.is_delivered(story.by_fellow(&second, &over), &second);
        // So it is known here from now on.
        let third = story.opening(40_002);
        story.is_delivered(story.given(&third, third.frame()), &third);
    }
}

#[test]
fn nobody_knows_the_client_and_it_stays_with_the_owner() {
    for story in Story::all() {
        let (first, second) = (story.opening(40_000), story.opening(40_001));
        story.goes_on(story.given(&first, first.frame()), &first, &been(&[NODE]));
        story.is_delivered(story.by_fellow(&first, &been(&[NODE, fellow(1)]).saying(OVER)), &first);
        story.is_delivered(story.given(&second, second.frame()), &second);
    }
}

#[test]
fn after_the_window_nobody_is_asked() {
    for mut story in Story::all() {
        // Of datagrams it is no shorter than where there is no affinity.
        story.changed(AFFINITY.max(120) + 2);
        let first = story.opening(40_000);
        story.is_delivered(story.given(&first, first.frame()), &first);
    }
}

/// This node is the former owner here, and a fellow asks.
#[test]
fn who_knows_the_client_says_so() {
    for mut story in Story::all() {
        let (first, second) = (story.opening(40_000), story.opening(40_001));
        story.changed(AFFINITY.max(120) + 2);
        story.is_delivered(story.given(&first, first.frame()), &first);
        let asked = been(&[fellow(1)]);
        story.goes_on(story.by_fellow(&second, &asked), &second, &asked.clone().saying(FOUND));
        story.is_delivered(story.by_fellow(&second, &asked.clone().saying(DIRECT)), &second);
        if story.kind.is_tcp {
            // Of a flow that did not begin here, the client says nothing.
            let stranger = story.opening(40_002).later();
            story.goes_on(
                story.by_fellow(&stranger, &asked.clone().saying(DIRECT)),
                &stranger,
                &asked.clone().saying(OVER),
            );
        }
    }
}

#[test]
fn who_knew_the_client_long_ago_does_not() {
    for mut story in Story::all() {
        let (first, second) = (story.opening(40_000), story.opening(40_001));
        story.changed(AFFINITY.max(120) + 2);
        story.is_delivered(story.given(&first, first.frame()), &first);
        let key = lb_common::maps::FlowKey { client_port: 0, ..first.flow() };
        let affinity: Affinity = story.machine.map(names::AFFINITIES).get(&key, 0).unwrap();
        let old = Affinity { used: now() - AFFINITY - 1, ..affinity };
        story.machine.map(names::AFFINITIES).insert(key, old, 0).unwrap();
        let direct = been(&[fellow(1)]).saying(DIRECT);
        story.goes_on(story.by_fellow(&second, &direct), &second, &direct.clone().saying(OVER));
    }
}
