//! Echo requests: those to a VIP are answered by a director.

use lb_common::{
    Addr,
    Verdict::{DropIcmp, EchoReply, Pass},
    maps::{Vip, names},
};

use super::{icmp_protocol, icmp_to_vip};
use crate::{
    case::{Case, arrives, check_all},
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE, Machine},
    packet::{Icmp, Ip, Payload, frame},
    world::{ARRIVING, FAMILIES, Family, Host, LEAVING, NODE, STRANGER, VIP, pod},
};

/// Request and reply.
fn echo_types(family: Family) -> [u8; 2] {
    match family {
        Family::V4 => [8, 0],
        Family::V6 => [128, 129],
    }
}

fn request(family: Family, rest: u32, data: &[u8]) -> Ip {
    icmp_to_vip(family, Icmp::echo(icmp_protocol(family), echo_types(family)[0], rest, data))
}

/// What comes back: all the same but for addresses, type and TTL.
fn reply(family: Family, request: &Ip) -> Ip {
    let Payload::Icmp(icmp) = &request.payload else { panic!("no ICMP: {request:?}") };
    let payload = Payload::Icmp(Icmp { kind: echo_types(family)[1], ..icmp.clone() });
    Ip { src: request.dst, dst: request.src, ttl: 64, payload, ..request.clone() }
}

pub fn cases() -> Vec<Case> {
    FAMILIES.into_iter().flat_map(cases_of_family).collect()
}

fn cases_of_family(family: Family) -> Vec<Case> {
    let name = |what: &str| format!("an echo request over {family:?}: {what}");
    let ping = request(family, 0x1234_0001, b"abcdefghijklmnop");
    let given = |what: &str, setup, ip: &Ip| arrives(name(what), setup, frame(ARRIVING, ip));
    let answered = |what: &str, ip: &Ip| {
        given(what, AS_DIRECTOR, ip).becomes(EchoReply, frame(LEAVING, &reply(family, ip)))
    };
    let mut cases = vec![
        answered("answered", &ping),
        answered("without data", &request(family, 1, &[])),
        answered("of an odd length", &request(family, 1, &[7; 33])),
        answered("as long as may be", &request(family, 1, &[7; 1400])),
        answered("with its last hop", &Ip { ttl: 1, ..ping.clone() }),
        answered("with all hops to go", &Ip { ttl: 255, ..ping.clone() }),
        given("on both roles", AS_BOTH, &ping).becomes(EchoReply, frame(LEAVING, &reply(family, &ping))),
        given("on a mere node", AS_NODE, &ping).dropped(DropIcmp),
    ];
    let padded = |ip: &Ip, macs| [frame(macs, ip), vec![0xee; 18]].concat();
    let padded_reply = padded(&reply(family, &ping), LEAVING);
    cases
        .push(arrives(name("padded"), AS_DIRECTOR, padded(&ping, ARRIVING)).becomes(EchoReply, padded_reply));
    let others: [(&str, Host); 3] = [("a stranger", STRANGER), ("this machine", NODE), ("a Pod", pod(1))];
    for (whom, host) in others {
        let ip = Ip { dst: host.ip(family), ..ping.clone() };
        cases.extend(
            [AS_DIRECTOR, AS_NODE, AS_BOTH]
                .map(|setup| given(&format!("to {whom} on {setup}"), setup, &ip).untouched(Pass)),
        );
    }
    cases
}

#[test]
fn a_director_answers_echo_requests_to_a_vip() {
    check_all(&cases());
}

/// And so many values of both checksums.
#[test]
fn any_identifier_is_answered() {
    let machine = Machine::new(AS_DIRECTOR);
    for family in FAMILIES {
        for n in (0..=u16::MAX).step_by(7) {
            let ping = Ip { id: n, ..request(family, u32::from(n) << 16 | 0xfff0, b"data") };
            let output = machine.run_xdp(&frame(ARRIVING, &ping)).output;
            assert!(output == frame(LEAVING, &reply(family, &ping)), "{family:?}, {n}");
        }
    }
}

#[test]
fn answers_can_be_switched_off() {
    let mut machine = Machine::new(AS_DIRECTOR);
    for family in FAMILIES {
        machine.map::<Addr, Vip>(names::VIPS).insert(VIP.addr(family), Vip { flags: 0 }, 0).unwrap();
        let ping = frame(ARRIVING, &request(family, 1, b"data"));
        arrives("switched off", AS_DIRECTOR, ping).dropped(DropIcmp).assert_on(&machine);
    }
}
