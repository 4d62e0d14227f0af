//! Clients whose packets do not fit are told so, up to a rate limit.

use lb_common::Verdict::{DropNoRoom, DropTooBig, TellTooBig};

use crate::{
    case::{Case, arrives, check_all},
    expect::too_big_frame,
    machine::{AS_DIRECTOR, Machine, WITHOUT_HEADROOM},
    services::{BARE, GUE, L2, MTU},
    world::{Family, KINDS, Kind},
};

/// Which the tables of the deliveries do not have.
pub fn cases() -> Vec<Case> {
    KINDS.into_iter().flat_map(cases_of_kind).collect()
}

fn cases_of_kind(kind: Kind) -> Vec<Case> {
    let name = |what: &str| format!("{kind}, too big: {what}");
    let long = kind.request(L2).with_len(MTU + 1);
    let bare = kind.request(BARE).with_len(MTU + 1);
    let padded = [long.frame(), vec![0xee; 18]].concat();
    let told = too_big_frame(&long, MTU - 48);
    vec![
        arrives(name("no headroom"), WITHOUT_HEADROOM, long.frame())
            .dropped(DropNoRoom)
            .for_its_backend(&long),
        arrives(name("padding is not quoted"), AS_DIRECTOR, padded)
            .becomes(TellTooBig, told)
            .for_its_backend(&long),
        arrives(name("nobody hands a bare server's packets on"), AS_DIRECTOR, bare.frame())
            .becomes(TellTooBig, too_big_frame(&bare, MTU))
            .for_its_backend(&bare),
    ]
}

#[test]
fn clients_are_told_what_fits() {
    check_all(&cases());
}

/// No client is told an MTU below 576 bytes (IPv4) or 1280 bytes (IPv6); a packet of
/// that length that does not fit is dropped.
#[test]
fn no_client_is_told_to_send_less_than_any_host_may() {
    for (kind, least) in KINDS.map(|kind| (kind, if kind.family == Family::V4 { 576 } else { 1280 })) {
        let mut machine = Machine::new(AS_DIRECTOR);
        machine.set_mtu(GUE, 600);
        let long = kind.request(GUE).with_len(least + 1);
        arrives("told the least", AS_DIRECTOR, long.frame())
            .becomes(TellTooBig, too_big_frame(&long, least))
            .for_its_backend(&long)
            .assert_on(&machine);
        let least = kind.request(GUE).with_len(least);
        arrives("would be told in vain", AS_DIRECTOR, least.frame())
            .dropped(DropTooBig)
            .for_its_backend(&least)
            .assert_on(&machine);
    }
}

/// A thousand in a second; it may be that a second ends meanwhile.
#[test]
fn a_flood_is_not_answered() {
    let machine = Machine::new(AS_DIRECTOR);
    let long = KINDS[0].request(L2).with_len(MTU + 1).frame();
    for _ in 0..4000 {
        machine.run_xdp(&long);
    }
    let [told, dropped, no_room] = [TellTooBig, DropTooBig, DropNoRoom].map(|v| machine.verdict_count(v));
    assert_eq!((told + dropped, no_room), (4000, 0));
    assert!((1000..4000).contains(&told), "{told} of 4000 told");
}
