//! Checks of bare servers: packets of our own to a VIP, which get to the server
//! that their mark names.

use lb_common::{
    Verdict::{EgressCheck, EgressDropCheck, EgressPass},
    check::mark,
};

use crate::{
    bystanders,
    case::{Case, check_all, leaves, leaves_marked},
    expect::ip_in_ip_packet,
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE, Machine},
    packet::{ACK, ETH_LEN, Icmp, Ip, Payload, RST, frame},
    services::{
        BARE, BARE_ELSEWHERE, BARE_IPIP4, BARE_IPIP6, BARE_SERVERS, BARE_UNRESOLVED, MTU, TO_BACKEND,
        macs_to_bare_server,
    },
    world::{DIRECTOR, FAMILIES, Family, KINDS, Kind, LEAVING, OTHER_NODE, Request, STRANGER, VIP},
};

const L2: u16 = BARE_SERVERS[0] as u16;
/// Ids in `BACKENDS` that are no bare servers: of a node, and of no backend.
const NODE: u16 = 1;
const CLEARED: u16 = 8;

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> =
        KINDS.into_iter().filter(|kind| kind.is_tcp).flat_map(connection_checks).collect();
    cases.extend(FAMILIES.into_iter().flat_map(echo_checks));
    cases.extend(
        bystanders::table(DIRECTOR).into_iter().filter(|row| Machine::can_test_egress(&row.frame)).map(
            |row| {
                let name = format!("{} leaves with the mark of a check", row.name);
                let kind_and_version = (&row.frame[12..ETH_LEN], row.frame[ETH_LEN] >> 4);
                let is_ip = matches!(kind_and_version, ([0x08, 0x00], 4) | ([0x86, 0xdd], 6));
                let given = leaves_marked(name, AS_DIRECTOR, mark(L2), row.frame.clone());
                // Whatever else our socket sent must not go to just any server.
                if is_ip { given.untouched(EgressPass) } else { given.dropped(EgressDropCheck) }
            },
        ),
    );
    cases
}

/// From the agent's own socket.
fn own_request(kind: Kind) -> Request {
    let request = kind.request(BARE);
    Request { ip: Ip { src: DIRECTOR.ip(kind.family), ..request.ip.clone() }, ..request }
}

fn connection_checks(kind: Kind) -> Vec<Case> {
    let request = own_request(kind);
    let mut cases: Vec<_> = [AS_DIRECTOR, AS_BOTH]
        .into_iter()
        .flat_map(|setup| forwarded_checks(&format!("a SYN on {setup}, {kind}"), setup, &request.ip))
        .collect();
    for flags in [ACK, RST] {
        let ip = request.clone().with_tcp_flags(flags).ip;
        cases.extend(forwarded_checks(&format!("flags {flags:#04x}, {kind}"), AS_DIRECTOR, &ip));
    }
    for outer in FAMILIES {
        let (id, room) = match outer {
            Family::V4 => (BARE_IPIP4, MTU - 20),
            Family::V6 => (BARE_IPIP6, MTU - 40),
        };
        let leaving = |what: &str, ip: &Ip| {
            let name = format!("a check {what} in an outer {outer:?} header, {kind}");
            leaves_marked(name, AS_DIRECTOR, mark(id), frame(LEAVING, ip))
        };
        let (fits, too_big) = (request.clone().with_len(room).ip, request.clone().with_len(room + 1).ip);
        cases.push(leaving("that just fits", &fits).becomes(EgressCheck, in_tunnel(outer, &fits)));
        cases.push(leaving("that does not fit", &too_big).dropped(EgressDropCheck));
    }
    cases.extend(refused(kind, &request.ip));
    cases
}

/// By each kind of delivery.
fn forwarded_checks(what: &str, setup: crate::machine::Setup, ip: &Ip) -> Vec<Case> {
    let by = |how: &str, id, output| {
        let name = format!("a check by {how}: {what}");
        leaves_marked(name, setup, mark(id), frame(LEAVING, ip)).becomes(EgressCheck, output)
    };
    vec![
        by("MAC address", L2, frame(macs_to_bare_server(L2.into()), ip)),
        by("an outer V4 header", BARE_IPIP4, in_tunnel(Family::V4, ip)),
        by("an outer V6 header", BARE_IPIP6, in_tunnel(Family::V6, ip)),
    ]
}

fn in_tunnel(outer: Family, ip: &Ip) -> Vec<u8> {
    frame(TO_BACKEND, &ip_in_ip_packet(ip, DIRECTOR.ip(outer), OTHER_NODE.ip(outer)))
}

fn refused(kind: Kind, ip: &Ip) -> Vec<Case> {
    let input = || frame(LEAVING, ip);
    let servers = [
        ("behind another interface", BARE_ELSEWHERE),
        ("without a next hop", BARE_UNRESOLVED),
        ("that is a node", NODE),
        ("that is gone", CLEARED),
        ("beyond the table", u16::MAX),
    ];
    let mut cases: Vec<_> = servers
        .into_iter()
        .map(|(what, id)| {
            let name = format!("a check of a server {what}, {kind}");
            leaves_marked(name, AS_DIRECTOR, mark(id), input()).dropped(EgressDropCheck)
        })
        .collect();
    let elsewhere = Ip { dst: STRANGER.ip(kind.family), ..ip.clone() };
    cases.extend([
        leaves_marked(
            format!("a check's mark, but to no VIP, {kind}"),
            AS_DIRECTOR,
            mark(L2),
            frame(LEAVING, &elsewhere),
        )
        .untouched(EgressPass),
        leaves_marked(format!("another mark, {kind}"), AS_DIRECTOR, mark(L2) + 1, input())
            .untouched(EgressPass),
        leaves_marked(format!("a check's mark on a node, {kind}"), AS_NODE, mark(L2), input())
            .untouched(EgressPass),
        leaves(format!("to a VIP without a mark, {kind}"), AS_DIRECTOR, input()).untouched(EgressPass),
    ]);
    cases
}

fn echo_checks(family: Family) -> Vec<Case> {
    let (protocol, kind) = match family {
        Family::V4 => (1, 8),
        Family::V6 => (58, 128),
    };
    let (src, dst) = (DIRECTOR.ip(family), VIP.ip(family));
    let bytes = Icmp::echo(protocol, kind, 0x1234_5678, &[7; 20]).bytes(src, dst);
    let ip = Ip::new(src, dst, Payload::Other { protocol, bytes });
    forwarded_checks(&format!("an echo request, {family:?}"), AS_DIRECTOR, &ip)
}

#[test]
fn checks_leave_by_the_way_to_their_server() {
    check_all(&cases());
}
