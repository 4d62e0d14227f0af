//! Packets of attackers. What must always hold (docs: "Trust"):
//! nobody gets into the cluster through us, nothing of others is touched, and
//! nothing goes round for ever.

use std::net::{IpAddr, Ipv6Addr};

use lb_common::{
    Verdict::{
        self, Deliver, DropNoSuchPort, DropSpoofed, DropTruncated, DropTunnelPort, ForwardIpip, ForwardL2,
        Pass, PassForeignTunnel,
    },
    gue::MAGIC,
};

use crate::{
    case::{Case, arrives, check_all},
    expect::{at_endpoint, by_mac, from_director, gue_packet, hidden_at_endpoint, in_tunnel},
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE, Machine, Setup},
    packet::{ETH_LEN, Gue, Ip, frame},
    services::{IPIP4, L2, LOCAL, NO_SERVICE, TO_BACKEND},
    world::{
        ARRIVING, CLIENT, DIRECTOR, FAMILIES, Family, Host, KINDS, Kind, NODE, OTHER_NODE, Request, STRANGER,
        VIP, pod,
    },
};

const NODES: [Setup; 2] = [AS_NODE, AS_BOTH];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in KINDS {
        cases.extend(FAMILIES.into_iter().flat_map(|outer| in_gue(kind, outer)));
        cases.extend(spoofed(kind));
        cases.extend(without_port(kind));
    }
    cases.extend(FAMILIES.into_iter().flat_map(to_the_port_of_tunnels));
    cases.extend(mapped_addresses());
    cases
}

fn gue_around(inner: &Ip) -> Gue {
    Gue::new(0xc123, &[], inner)
}

fn gue_frame(outer: Family, from: Host, to: Host, gue: &Gue) -> Vec<u8> {
    frame(ARRIVING, &gue_packet(gue, outer, from, to, 0))
}

/// All that may be wrong with a tunnel, each to nodes and to machines of both roles.
fn in_gue(kind: Kind, outer: Family) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let good = gue_around(&request.ip);
    let from_director = |gue: &Gue| gue_frame(outer, DIRECTOR, NODE, gue);
    let mut rows: Vec<(String, Vec<u8>, Verdict)> = Vec::new();
    let mut row = |what: &str, frame, verdict| rows.push((what.to_owned(), frame, verdict));
    for (whom, from) in [("a stranger", STRANGER), ("a client", CLIENT), ("a Pod", pod(2)), ("a VIP", VIP)] {
        row(&format!("from {whom}"), gue_frame(outer, from, NODE, &good), PassForeignTunnel);
    }
    row("from this machine itself", gue_frame(outer, NODE, NODE, &good), PassForeignTunnel);
    row("to another node", gue_frame(outer, DIRECTOR, OTHER_NODE, &good), PassForeignTunnel);
    row("to a stranger", gue_frame(outer, DIRECTOR, STRANGER, &good), PassForeignTunnel);
    row("to a VIP", gue_frame(outer, DIRECTOR, VIP, &good), DropNoSuchPort);
    for (whom, to) in
        [("a Pod", pod(1)), ("a stranger", STRANGER), ("this machine", NODE), ("a director", DIRECTOR)]
    {
        let inner = request.clone().with_destination(to).ip;
        row(&format!("inside, to {whom}"), from_director(&gue_around(&inner)), PassForeignTunnel);
    }
    let no_service = gue_around(&kind.request(NO_SERVICE).ip);
    row("inside, to a port without a service", from_director(&no_service), DropTunnelPort);
    for (what, changed) in foreign_headers(&good) {
        row(&what, from_director(&changed), PassForeignTunnel);
    }
    for family in FAMILIES {
        let nested = |to: Host| gue_around(&gue_packet(&good, family, DIRECTOR, to, 0));
        row(
            &format!("a tunnel over {family:?} inside, to this node"),
            from_director(&nested(NODE)),
            PassForeignTunnel,
        );
        row(
            &format!("a tunnel over {family:?} inside, to a VIP"),
            from_director(&nested(VIP)),
            DropTunnelPort,
        );
    }
    let whole = from_director(&good);
    for len in (ETH_LEN..whole.len()).step_by(3) {
        row(&format!("cut to {len} bytes"), whole[..len].to_vec(), Pass);
    }
    let cases = rows.iter().flat_map(|(what, frame, verdict)| {
        NODES.map(|setup| {
            let name = format!("hostile {kind} in GUE over {outer:?}, {what}, on {setup}");
            let given = arrives(name, setup, frame.clone());
            if matches!(verdict, Pass | PassForeignTunnel) {
                given.untouched(*verdict)
            } else {
                given.dropped(*verdict)
            }
        })
    });
    cases.chain(forged_trails(kind, outer)).chain(too_long_inside(kind, outer)).collect()
}

/// Headers that none of us writes.
fn foreign_headers(good: &Gue) -> Vec<(String, Gue)> {
    let mut all = Vec::new();
    let mut add = |what: String, gue| all.push((what, gue));
    for variant in [0x20, 0x40, 0x80, 0xc0, 0xe0] {
        add(format!("first bits {variant:#04x}"), Gue { variant, ..good.clone() });
    }
    for flags in [1, 0x0100, 0x8000, 0xffff] {
        add(format!("flags {flags:#06x}"), Gue { flags, ..good.clone() });
    }
    for words in (1..32).filter(|words| *words != 4) {
        let private = vec![MAGIC; words * 4];
        add(format!("{words} words of private data"), Gue { private, ..good.clone() });
    }
    let strange = vec![MAGIC ^ 1; 16];
    add("private data of others".into(), Gue { private: strange, ..good.clone() });
    for protocol in [0, 1, 6, 17, 47, 50, 59, 255] {
        add(format!("protocol {protocol} inside"), Gue { protocol, ..good.clone() });
    }
    let other = if good.protocol == 4 { 41 } else { 4 };
    add("the other family inside".into(), Gue { protocol: other, ..good.clone() });
    all
}

/// What nodes tell each other, made up; of a service whose slots have no
/// history. A word that asks for an answer gets none: this director is no node.
fn forged_trails(kind: Kind, outer: Family) -> Vec<Case> {
    let request = kind.request(LOCAL);
    (0..=u8::MAX)
        .step_by(7)
        .chain([7, 8, 0xfc, 0xfd, 0xfe, 0xff])
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .map(|hops| {
            let private = [&[MAGIC, hops][..], &[0xa5; 14]].concat();
            let input = gue_frame(outer, DIRECTOR, NODE, &Gue { private, ..gue_around(&request.ip) });
            let name = format!("hostile {kind} in GUE over {outer:?}, said to have been to {hops} nodes");
            let given = arrives(name, AS_NODE, input);
            given.becomes(Deliver, at_endpoint(&request, pod(1)).frame()).for_service(&request)
        })
        .collect()
}

/// The inner packet claims more than the outer one has.
fn too_long_inside(kind: Kind, outer: Family) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let mut input = gue_frame(outer, DIRECTOR, NODE, &gue_around(&request.ip));
    let inner = input.len() - request.len();
    let at = inner + if kind.family == Family::V4 { 2 } else { 4 };
    input[at] = 0x40;
    let name = format!("hostile {kind} in GUE over {outer:?}, longer inside than outside");
    vec![arrives(name, AS_NODE, input).dropped(DropTruncated)]
}

/// From addresses that no client has. Directors keep no state that could be
/// filled, so they leave it to the node.
fn spoofed(kind: Kind) -> Vec<Case> {
    let name = |from: IpAddr, what: &str| format!("hostile {kind} from {from}, {what}");
    let mut cases = Vec::new();
    for from in impossible_sources(kind.family) {
        let request = |port| with_source(kind.request(port), from);
        let local = request(LOCAL);
        for setup in NODES {
            let given = arrives(name(from, &format!("on {setup}")), setup, local.frame());
            cases.push(given.dropped(DropSpoofed).for_service(&local));
        }
        for outer in FAMILIES {
            let ipip =
                arrives(name(from, &format!("in {outer:?}")), AS_NODE, from_director(outer, &local.ip));
            cases.push(ipip.dropped(DropSpoofed).for_service(&local));
            let input = gue_frame(outer, DIRECTOR, NODE, &gue_around(&local.ip));
            let gue = arrives(name(from, &format!("in GUE over {outer:?}")), AS_NODE, input);
            cases.push(gue.dropped(DropSpoofed).for_service(&local));
        }
        let (l2, ipip) = (request(L2), request(IPIP4));
        let given = arrives(name(from, "by l2"), AS_DIRECTOR, l2.frame());
        cases.push(given.becomes(ForwardL2, by_mac(TO_BACKEND, &l2)).for_its_backend(&l2));
        let given = arrives(name(from, "by ipip"), AS_DIRECTOR, ipip.frame());
        cases.push(given.becomes(ForwardIpip, in_tunnel(Family::V4, &ipip)).for_its_backend(&ipip));
    }
    // A LAND packet: source and destination have the same address and port.
    let land = with_source(kind.request(LOCAL), VIP.ip(kind.family)).with_client_port(LOCAL);
    let given = arrives(format!("hostile {kind} to itself"), AS_NODE, land.frame());
    cases.push(given.dropped(DropSpoofed).for_service(&land));
    // The address of the node is no secret. Its endpoint sees the VIP, and its reply comes back to the node,
    // whose kernel knows what to do.
    let own = with_source(kind.request(LOCAL), NODE.ip(kind.family));
    let given = arrives(format!("hostile {kind} from this machine"), AS_NODE, own.frame());
    cases.push(
        given.becomes(Deliver, hidden_at_endpoint(&own, pod(1), own.client_port()).frame()).for_service(&own),
    );
    cases
}

fn with_source(mut request: Request, from: IpAddr) -> Request {
    request.ip.src = from;
    request
}

fn impossible_sources(family: Family) -> Vec<IpAddr> {
    let texts: &[&str] = match family {
        Family::V4 => &[
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ],
        Family::V6 => &["::", "::1", "ff02::1", "ff0e::1:2"],
    };
    let parsed = texts.iter().map(|text| text.parse().unwrap());
    parsed.chain([VIP.ip(family)]).collect()
}

fn without_port(kind: Kind) -> Vec<Case> {
    let to_none = kind.request(LOCAL).with_port(0);
    let from_none = kind.request(LOCAL).with_client_port(0);
    let mut cases: Vec<_> = [AS_DIRECTOR, AS_NODE, AS_BOTH]
        .map(|setup| {
            arrives(format!("hostile {kind} to port 0 on {setup}"), setup, to_none.frame())
                .dropped(DropNoSuchPort)
        })
        .into();
    let output = at_endpoint(&from_none, pod(1)).frame();
    let given = arrives(format!("hostile {kind} from port 0"), AS_NODE, from_none.frame());
    cases.push(given.becomes(Deliver, output).for_service(&from_none));
    cases
}

/// GUE's port, where no tunnel ends.
fn to_the_port_of_tunnels(outer: Family) -> Vec<Case> {
    let inner = gue_around(&KINDS[0].request(LOCAL).ip);
    let mut cases = Vec::new();
    for setup in [AS_DIRECTOR, AS_NODE, AS_BOTH] {
        let name = |what: &str| format!("hostile GUE over {outer:?} to {what} on {setup}");
        let to_vip = arrives(name("a VIP"), setup, gue_frame(outer, CLIENT, VIP, &inner));
        cases.push(to_vip.dropped(DropNoSuchPort));
    }
    let name = format!("hostile GUE over {outer:?} to a director that is no node");
    cases.push(arrives(name, AS_DIRECTOR, gue_frame(outer, OTHER_NODE, NODE, &inner)).untouched(Pass));
    cases
}

/// IPv6 packets with the addresses by which our tables know IPv4 ones.
fn mapped_addresses() -> Vec<Case> {
    let mapped = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => IpAddr::V6(v6),
    };
    let [to_vip, director, node] = [VIP, DIRECTOR, NODE].map(|host| mapped(host.ip(Family::V4)));
    let mut cases = Vec::new();
    for kind in KINDS.into_iter().filter(|kind| kind.family == Family::V6) {
        for setup in [AS_DIRECTOR, AS_NODE, AS_BOTH] {
            let given = |what: &str, ip: &Ip| {
                arrives(format!("hostile {kind} {what} on {setup}"), setup, frame(ARRIVING, ip))
            };
            let to = |dst| Ip { dst, ..kind.request(LOCAL).ip };
            cases.push(given("to a mapped VIP", &to(to_vip)).untouched(Pass));
            let v4 = IpAddr::V6(Ipv6Addr::from([0, 0, 0, 0, 0, 0xffff, 0xc633, 0x6407]));
            cases.push(
                given("from a mapped client", &Ip { src: v4, ..kind.request(LOCAL).ip }).untouched(Pass),
            );
            let tunnel = Ip {
                src: director,
                dst: node,
                ..Ip::new(director, node, gue_around(&kind.request(LOCAL).ip).payload())
            };
            cases.push(given("in a mapped tunnel", &tunnel).untouched(Pass));
        }
    }
    cases
}

#[test]
fn hostile_packets_get_nowhere() {
    check_all(&cases());
}

/// They leave no entry in the flow tables.
#[test]
fn spoofed_packets_are_not_remembered() {
    let machine = Machine::new(AS_NODE);
    let before = machine.dump();
    for case in KINDS.into_iter().flat_map(spoofed).filter(|case| case.verdict == DropSpoofed) {
        machine.run(case.hook, &case.input);
    }
    let tables = |dump: Vec<(String, String)>| {
        dump.into_iter()
            .filter(|(name, _)| name.contains("FLOWS") || name.contains("REPLIES"))
            .collect::<Vec<_>>()
    };
    assert_eq!(tables(before), tables(machine.dump()));
}
