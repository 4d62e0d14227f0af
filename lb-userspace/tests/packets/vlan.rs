//! VLAN tags: off for the programs, back on for the kernel, and the backend's
//! own on the way to it.

use lb_common::{
    Verdict::{
        self, Deliver, DropNoSuchPort, DropOtherProtocol, EgressPass, EgressReply, ForwardGue, ForwardIpip,
        ForwardL2, Pass, PassForeignTunnel, RedirectL2,
    },
    maps::{Backend, backend_flags::TAGGED},
};

use crate::{
    case::{Case, Given, arrives, check_all, leaves},
    expect::{at_endpoint, by_mac, from_director, from_vip, in_gue, in_tunnel, ip_in_ip_packet, reply},
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE, Machine, Setup, WITH_FLOWS},
    packet::{Tag, frame, tagged},
    services::{self, GUE, IPIP4, IPIP6, L2, L2_ELSEWHERE, LOCAL, NO_SERVICE, TO_BACKEND, port_over},
    world::{ARRIVING, DIRECTOR, FAMILIES, Family, KINDS, Kind, LEAVING, NODE, Request, STRANGER, VIP, pod},
};

/// With a priority, and with none.
const ONE: &[Tag] = &[(0x8100, 0x602a)];
const SERVICE: &[Tag] = &[(0x88a8, 7)];
const TWO: &[Tag] = &[(0x88a8, 7), (0x8100, 0x602a)];
const THREE: &[Tag] = &[(0x88a8, 7), (0x8100, 42), (0x8100, 43)];
const TAGS: [&[Tag]; 3] = [ONE, SERVICE, TWO];

pub fn cases() -> Vec<Case> {
    let all = KINDS.into_iter().flat_map(|kind| TAGS.map(|tags| (kind, tags)));
    all.flat_map(|(kind, tags)| {
        let mut cases = forwarded_cases(kind, tags);
        cases.extend(local_cases(kind, tags));
        cases.extend(reply_cases(kind, tags));
        cases
    })
    .chain(KINDS.into_iter().map(three_tags_case))
    .collect()
}

fn given(name: &str, setup: Setup, tags: &[Tag], frame: &[u8]) -> Given {
    arrives(format!("{name}, tags {tags:x?}, on {setup}"), setup, tagged(tags, frame))
}

/// To a backend that is in no VLAN.
fn forwarded_cases(kind: Kind, tags: &[Tag]) -> Vec<Case> {
    let case = |setup, port, verdict: Verdict, output: fn(Family, &Request) -> Vec<u8>, outer| {
        let request = kind.request(port);
        given(&format!("{kind} to {port}"), setup, tags, &request.frame())
            .becomes(verdict, output(outer, &request))
            .for_its_backend(&request)
    };
    let mut cases = Vec::new();
    for setup in [AS_DIRECTOR, AS_BOTH] {
        let l2 = |_, request: &Request| by_mac(TO_BACKEND, request);
        cases.extend([
            case(setup, L2, ForwardL2, l2, Family::V4),
            case(setup, L2_ELSEWHERE, RedirectL2, l2, Family::V4),
            case(setup, IPIP4, ForwardIpip, in_tunnel, Family::V4),
            case(setup, IPIP6, ForwardIpip, in_tunnel, Family::V6),
        ]);
        cases.extend(FAMILIES.map(|outer| case(setup, port_over(outer, GUE), ForwardGue, in_gue, outer)));
    }
    cases
}

/// What the kernel gets has the tags it came with.
fn local_cases(kind: Kind, tags: &[Tag]) -> Vec<Case> {
    let local = kind.request(LOCAL);
    let at_pod = tagged(tags, &at_endpoint(&local, pod(1)).frame());
    let name = |what: &str| format!("{kind}: {what}");
    let to = |host| kind.request(LOCAL).with_destination(host).frame();
    let mut cases = Vec::new();
    for setup in [AS_NODE, AS_BOTH] {
        let direct = given(&name("not in a tunnel"), setup, tags, &local.frame());
        cases.push(direct.becomes(Deliver, at_pod.clone()).for_service(&local));
        for outer in FAMILIES {
            let name = |what: &str| format!("{kind} in {outer:?}: {what}");
            let foreign = frame(ARRIVING, &ip_in_ip_packet(&local.ip, STRANGER.ip(outer), NODE.ip(outer)));
            let to_vip = frame(ARRIVING, &ip_in_ip_packet(&local.ip, DIRECTOR.ip(outer), VIP.ip(outer)));
            cases.extend([
                given(&name("a director's"), setup, tags, &from_director(outer, &local.ip))
                    .becomes(Deliver, at_pod.clone())
                    .for_service(&local),
                given(&name("a stranger's"), setup, tags, &foreign).untouched(PassForeignTunnel),
                given(&name("to a VIP"), setup, tags, &to_vip).dropped(DropOtherProtocol),
            ]);
        }
    }
    for setup in [AS_DIRECTOR, AS_NODE, AS_BOTH] {
        cases.extend([
            given(&name("to this machine"), setup, tags, &to(NODE)).untouched(Pass),
            given(&name("to a stranger"), setup, tags, &to(STRANGER)).untouched(Pass),
            given(&name("to no service"), setup, tags, &kind.request(NO_SERVICE).frame())
                .dropped(DropNoSuchPort),
        ]);
    }
    cases
}

/// Of a device that leaves the tag to the kernel, egress sees it in the frame.
fn reply_cases(kind: Kind, tags: &[Tag]) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let reply = reply(&request, pod(1)).ip;
    let foreign = crate::packet::Ip { src: pod(2).ip(kind.family), ..reply.clone() };
    let leaving = |what: &str, ip| {
        leaves(format!("{kind}: {what} with tags {tags:x?}"), WITH_FLOWS, tagged(tags, &frame(LEAVING, ip)))
    };
    let output = tagged(tags, &frame(LEAVING, &from_vip(&request, &reply)));
    vec![
        leaving("a reply", &reply).becomes(EgressReply, output),
        leaving("no reply", &foreign).untouched(EgressPass),
    ]
}

/// Three tags are more than the programs look behind: the frame passes.
fn three_tags_case(kind: Kind) -> Case {
    given(&format!("{kind}"), AS_BOTH, THREE, &kind.request(L2).frame()).untouched(Pass)
}

#[test]
fn tagged_packets_are_handled_like_untagged_ones() {
    check_all(&cases());
}

/// As `BACKENDS` has them.
fn backend_tags(tags: &[Tag]) -> [u32; 2] {
    let word = |n: usize| {
        tags.get(n).map_or(0, |(kind, tci)| {
            let [[a, b], [c, d]] = [kind.to_be_bytes(), tci.to_be_bytes()];
            u32::from_ne_bytes([a, b, c, d])
        })
    };
    [word(0), word(1)]
}

#[test]
fn what_goes_to_a_backend_has_the_tags_of_the_backend() {
    type Output = fn(Family, &Request) -> Vec<u8>;
    let l2: Output = |_, request| by_mac(TO_BACKEND, request);
    let ways = [
        (L2, ForwardL2, l2, Family::V4),
        (L2_ELSEWHERE, RedirectL2, l2, Family::V4),
        (IPIP4, ForwardIpip, in_tunnel, Family::V4),
        (IPIP6, ForwardIpip, in_tunnel, Family::V6),
        (port_over(Family::V4, GUE), ForwardGue, in_gue, Family::V4),
        (port_over(Family::V6, GUE), ForwardGue, in_gue, Family::V6),
    ];
    let mut machine = Machine::new(AS_DIRECTOR);
    for tags in TAGS {
        for (id, backend) in services::backends() {
            machine.set_backend(
                id,
                Backend { tags: backend_tags(tags), flags: backend.flags | TAGGED, ..backend },
            );
        }
        for (kind, (port, verdict, output, outer)) in
            KINDS.into_iter().flat_map(|kind| ways.map(|way| (kind, way)))
        {
            let request = kind.request(port);
            for came_with in [&[][..], ONE, TWO] {
                given(
                    &format!("{kind} to {port} behind {tags:x?}"),
                    AS_DIRECTOR,
                    came_with,
                    &request.frame(),
                )
                .becomes(verdict, tagged(tags, &output(outer, &request)))
                .for_its_backend(&request)
                .assert_on(&machine);
            }
        }
    }
}
