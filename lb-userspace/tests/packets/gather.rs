//! Fragments to a VIP on which they meet: a director sends all of a client's to the same node, in
//! whatever order they come.

use lb_common::{
    Addr,
    Verdict::{DropNoSuchPort, DropSourceRange, ForwardGue, ForwardL2, Pass, TellTooBig},
    hash,
    maps::{Vip, names},
};

use crate::{
    case::{Case, Given, arrives},
    expect::{by_mac, encapsulated_in_gue, too_big_message_about},
    machine::{AS_BOTH, AS_DIRECTOR, Machine, Setup},
    packet::{Ip, frame},
    services::{GUE, L2, MTU, NO_SERVICE, OWNED, RANGED, TO_BACKEND, backend_of},
    world::{ARRIVING, FAMILIES, Family, KINDS, Kind, LEAVING, Request, STRANGER, VIP},
};

/// A later one first, the first one last.
const ORDER: [usize; 4] = [2, 1, 3, 0];
const UDP: u8 = 17;

/// A machine to whose VIP fragments meet by the ring of the UDP service of this port.
pub fn machine_with_meeting(setup: Setup, port: u16) -> Machine {
    let mut machine = Machine::new(setup);
    for family in FAMILIES {
        let vip = Vip::default().with_meeting(port.to_be(), UDP);
        machine.map::<Addr, Vip>(names::VIPS).insert(VIP.addr(family), vip, 0).unwrap();
    }
    machine
}

fn fragments_of(request: &Request) -> Vec<Ip> {
    request.ip.fragments(0xa00 + u16::from(request.kind.protocol()), &[64, 80, 72])
}

fn long_request(kind: Kind, port: u16) -> Request {
    kind.request(port).with_len(300)
}

/// What becomes of any of the request's fragments, by the ring of `GUE`.
fn to_meeting(given: Given, request: &Request, part: &Ip, is_first: bool) -> Case {
    let output = encapsulated_in_gue(Family::V4, part, hash::flow(&Addr::from(request.ip.src), 0));
    let sent = given.becomes(ForwardGue, output);
    let sent = if is_first { sent.for_service(request) } else { sent };
    sent.also_for_backend(backend_of(GUE)).with_counted_len(part.bytes().len())
}

fn arriving(kind: Kind, setup: Setup, what: &str, part: &Ip) -> Given {
    arrives(format!("{kind}, fragments meet, {what} on {setup}"), setup, frame(ARRIVING, part))
}

#[test]
fn all_fragments_of_a_client_go_one_way() {
    for setup in [AS_DIRECTOR, AS_BOTH] {
        let machine = machine_with_meeting(setup, GUE);
        for kind in KINDS {
            for port in [L2, OWNED] {
                let request = long_request(kind, port);
                let parts = fragments_of(&request);
                for n in ORDER {
                    let given = arriving(kind, setup, &format!("number {n}"), &parts[n]);
                    to_meeting(given, &request, &parts[n], n == 0).assert_on(&machine);
                }
            }
            let whole = kind.request(L2);
            arrives(format!("{kind}, a whole packet on {setup}"), setup, whole.frame())
                .becomes(ForwardL2, by_mac(TO_BACKEND, &whole))
                .for_its_backend(&whole)
                .assert_on(&machine);
        }
    }
}

#[test]
fn what_a_service_refuses_goes_nowhere() {
    let machine = machine_with_meeting(AS_DIRECTOR, GUE);
    for kind in KINDS {
        let given = |what: &str, part: &Ip| arriving(kind, AS_DIRECTOR, what, part);
        let nowhere = fragments_of(&long_request(kind, NO_SERVICE));
        given("the first to no service", &nowhere[0]).dropped(DropNoSuchPort).assert_on(&machine);
        let refused = long_request(kind, RANGED).with_client_offset(1);
        let first = &fragments_of(&refused)[0];
        given("the first of a client that is not admitted", first)
            .dropped(DropSourceRange)
            .for_service(&refused)
            .with_counted_len(first.bytes().len())
            .assert_on(&machine);
        let foreign = Ip { dst: STRANGER.ip(kind.family), ..nowhere[1].clone() };
        given("a later one to a stranger", &foreign).untouched(Pass).assert_on(&machine);
        let big = &kind.request(L2).with_len(4000).ip.fragments(0xa99, &[MTU + 4])[0];
        given("a first one that is too big", big)
            .becomes(TellTooBig, frame(LEAVING, &too_big_message_about(big, MTU - 48)))
            .for_service(&kind.request(L2))
            .also_for_backend(backend_of(GUE))
            .with_counted_len(big.bytes().len())
            .assert_on(&machine);
    }
}
