//! Errors about packets of a flow: they go where the flow goes, and tell the
//! endpoint of a packet as it sent it.

use lb_common::Verdict::{
    self, Deliver, DropIcmp, DropIcmpFlow, DropNoSuchPort, DropTooBig, DropTunnelPort, ForwardGue,
    ForwardIpip, ForwardL2,
};

use super::icmp_protocol;
use crate::{
    case::{Case, arrives, check_all},
    expect::{
        encapsulated_in_gue, encapsulated_in_ip, from_director, from_vip, reply, with_decremented_ttl,
        with_zero_checksum,
    },
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE, Machine, WITH_FLOWS},
    packet::{Extension, Icmp, Ip, Payload, frame},
    services::{
        self, BARE, BARE_SERVERS, GUE, IPIP4, IPIP6, L2, LOCAL, MTU, NO_SERVICE, TO_BACKEND,
        macs_to_bare_server,
    },
    world::{ARRIVING, FAMILIES, Family, KINDS, Kind, Request, STRANGER, VIP, pod},
};

/// Type and code of the errors that a router or a client sends.
fn error_types(family: Family) -> &'static [(u8, u8)] {
    match family {
        Family::V4 => &[(3, 1), (3, 3), (3, 4), (11, 0), (12, 0)],
        Family::V6 => &[(1, 0), (1, 4), (2, 0), (3, 0), (4, 1)],
    }
}

/// What the client got, and a router on the way could not pass on.
fn seen_by_client(request: &Request) -> Ip {
    let sent = reply(request, pod(1)).ip;
    let seen = from_vip(request, &sent);
    Ip { ttl: 44, ..seen }
}

/// The same as the endpoint sent it.
fn sent_by_endpoint(request: &Request) -> Ip {
    Ip { ttl: 44, ..reply(request, pod(1)).ip }
}

/// An error, from somewhere on the way to the client.
fn error(request: &Request, (kind, code): (u8, u8), about: &Ip, len: usize) -> Ip {
    let icmp = Icmp::error(kind, code, 1400, about, len);
    let ip = Ip::new(STRANGER.ip(request.kind.family), about.src, Payload::Icmp(icmp));
    Ip { tos: 0xc0, id: 0x77, label: 0x7_1828, ttl: 61, ..ip }
}

/// The header of a fragment that begins so many times eight bytes into the packet.
pub fn fragment(ip: &Ip, offset: u16, more: bool) -> Ip {
    if ip.is_v4() {
        return Ip { fragment: u16::from(more) << 13 | offset, ..ip.clone() };
    }
    let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
    let extension = Extension { kind: 44, body: vec![0, high, low, 0xab, 0xcd, 0xef, 0x01] };
    Ip { extensions: vec![extension], ..ip.clone() }
}

/// Frag-needed or packet-too-big, as most are.
fn too_big_type(family: Family) -> (u8, u8) {
    if family == Family::V4 { (3, 4) } else { (2, 0) }
}

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = KINDS.into_iter().flat_map(at_node).collect();
    cases.extend(KINDS.into_iter().flat_map(at_director));
    cases.extend(KINDS.into_iter().flat_map(refused));
    cases
}

/// How much may be quoted: ports alone, a header, more, all.
pub fn quoted_lengths(request: &Request) -> [(&'static str, usize); 5] {
    let header = request.kind.header_len();
    let transport = if request.kind.is_tcp { 20 } else { 8 };
    [
        ("8 bytes", header + 8),
        ("all but the TCP checksum", header + transport.min(16)),
        ("the transport header", header + transport),
        ("an odd number of bytes", header + transport + 1),
        ("all", usize::MAX),
    ]
}

fn at_node(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let (seen, sent) = (seen_by_client(&request), sent_by_endpoint(&request));
    let mut cases = Vec::new();
    let mut delivered = |what: String, input: &Ip, output: &Ip| {
        let name = |way: &str| format!("an error about {kind}, {what}, {way}");
        let delivered = frame(ARRIVING, output);
        let ways = [("by its MAC address", frame(ARRIVING, input))].into_iter();
        let tunnels = [("in IPv4", Family::V4), ("in IPv6", Family::V6)];
        for (way, frame) in ways.chain(tunnels.map(|(way, outer)| (way, from_director(outer, input)))) {
            let given = arrives(name(way), WITH_FLOWS, frame);
            cases.push(
                given
                    .becomes(Deliver, delivered.clone())
                    .for_service(&request)
                    .with_counted_len(input.bytes().len()),
            );
        }
    };
    for what in error_types(kind.family) {
        let make = |about| error(&request, *what, about, usize::MAX);
        delivered(format!("{what:?}"), &make(&seen), &make(&sent));
    }
    let what = too_big_type(kind.family);
    for (how_much, len) in quoted_lengths(&request) {
        let make = |about| error(&request, what, about, len);
        delivered(format!("{how_much} quoted"), &make(&seen), &make(&sent));
    }
    if kind.family == Family::V4 {
        let with_options = |about: &Ip| {
            let about = Ip { options: vec![1, 1, 1, 0, 0x94, 4, 0, 0], ..about.clone() };
            error(&request, what, &about, 20 + 8 + 8)
        };
        delivered("options quoted".into(), &with_options(&seen), &with_options(&sent));
    }
    let part_quoted = |about: &Ip| error(&request, what, &fragment(about, 0, true), kind.header_len() + 16);
    delivered("a first fragment quoted".into(), &part_quoted(&seen), &part_quoted(&sent));
    let sent_with_zero = with_zero_checksum(sent.clone(), Ip::clone);
    let make = |about: &Ip| error(&request, what, about, usize::MAX);
    delivered(
        "a checksum quoted that comes out as zero".into(),
        &make(&from_vip(&request, &sent_with_zero)),
        &make(&sent_with_zero),
    );
    if !kind.is_tcp && kind.family == Family::V4 {
        let without_checksum = |about: &Ip| {
            let mut about = about.clone();
            about.transport().remove_checksum();
            error(&request, what, &about, 28)
        };
        delivered("no checksum quoted".into(), &without_checksum(&seen), &without_checksum(&sent));
    }
    // Where the TCP checksum would be is padding.
    let (input, output) = (error(&request, what, &seen, kind.header_len() + 8), &sent);
    let output = error(&request, what, output, kind.header_len() + 8);
    let padded = |ip: &Ip| [frame(ARRIVING, ip), vec![0xee; 18]].concat();
    let given = arrives(format!("a padded error about {kind}"), WITH_FLOWS, padded(&input));
    let len = input.bytes().len();
    cases.push(given.becomes(Deliver, padded(&output)).for_service(&request).with_counted_len(len));
    cases
}

fn at_director(kind: Kind) -> Vec<Case> {
    let what = too_big_type(kind.family);
    let about = |port| {
        let request = kind.request(port);
        let error = error(&request, what, &seen_by_client(&request), usize::MAX);
        (request, error)
    };
    let mut cases = Vec::new();
    let mut forwarded = |port, verdict, make: &dyn Fn(&Request, &Ip) -> Vec<u8>| {
        let (request, error) = about(port);
        for setup in [AS_DIRECTOR, AS_BOTH] {
            let name = format!("an error about {kind} leaves by {verdict:?} to {port} on {setup}");
            let given = arrives(name, setup, frame(ARRIVING, &error));
            let output = make(&request, &error);
            cases.push(
                given
                    .becomes(verdict, output)
                    .for_its_backend(&request)
                    .with_counted_len(error.bytes().len()),
            );
        }
    };
    forwarded(L2, ForwardL2, &|_, error| frame(TO_BACKEND, &with_decremented_ttl(error)));
    forwarded(IPIP4, ForwardIpip, &|request, error| encapsulated_in_ip(Family::V4, error, request.hash()));
    forwarded(IPIP6, ForwardIpip, &|request, error| encapsulated_in_ip(Family::V6, error, request.hash()));
    forwarded(GUE, ForwardGue, &|request, error| encapsulated_in_gue(Family::V4, error, request.hash()));
    forwarded(BARE, ForwardL2, &|_, error| {
        frame(macs_to_bare_server(BARE_SERVERS[0]), &with_decremented_ttl(error))
    });
    // Nobody is told about an error.
    let request = kind.request(IPIP4);
    let error = error(&request, what, &seen_by_client(&request.clone().with_len(1460)), usize::MAX);
    let len = error.bytes().len();
    assert!(len + 20 > MTU);
    let given =
        arrives(format!("an error about {kind} that is too big"), AS_DIRECTOR, frame(ARRIVING, &error));
    cases.push(given.dropped(DropTooBig).for_its_backend(&request).with_counted_len(len));
    cases
}

/// What quotes no packet of a flow.
fn refused(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let seen = seen_by_client(&request);
    let what = too_big_type(kind.family);
    let header = kind.header_len();
    let about =
        |ip: &Ip, len| frame(ARRIVING, &Ip { dst: VIP.ip(kind.family), ..error(&request, what, ip, len) });
    let with_protocol = |protocol| {
        let bytes = seen.bytes()[header..].to_vec();
        about(&Ip { payload: Payload::Other { protocol, bytes }, ..seen.clone() }, usize::MAX)
    };
    let unserved = seen_by_client(&request.clone().with_port(NO_SERVICE));
    let mut table: Vec<(&str, Vec<u8>, Verdict)> = vec![
        ("the VIP sent none such", about(&sent_by_endpoint(&request), usize::MAX), DropIcmp),
        ("nothing quoted", about(&seen, 0), DropIcmp),
        ("half a header quoted", about(&seen, header - 1), DropIcmp),
        ("no ports quoted", about(&seen, header), DropIcmp),
        ("not all ports quoted", about(&seen, header + 7), DropIcmp),
        ("ICMP quoted", with_protocol(icmp_protocol(kind.family)), DropIcmp),
        ("a fragment or extension header quoted", with_protocol(44), DropIcmp),
        ("GRE quoted", with_protocol(47), DropIcmp),
        ("a port without service quoted", about(&unserved, usize::MAX), DropNoSuchPort),
    ];
    table.push(("a later fragment quoted", about(&fragment(&seen, 185, true), usize::MAX), DropIcmp));
    let mut cases = Vec::new();
    for setup in [AS_DIRECTOR, AS_NODE] {
        cases.extend(table.iter().map(|(what, frame, verdict)| {
            arrives(format!("an error about {kind} on {setup}: {what}"), setup, frame.clone())
                .dropped(*verdict)
        }));
    }
    let in_tunnel = |ip: &Ip| from_director(kind.family, &error(&request, what, ip, usize::MAX));
    let name = |what: &str| format!("an error about {kind} in a tunnel: {what}");
    cases
        .push(arrives(name("a port without service"), AS_NODE, in_tunnel(&unserved)).dropped(DropTunnelPort));
    let len = error(&request, what, &seen, usize::MAX).bytes().len();
    cases.push(
        arrives(name("of an unknown flow"), AS_NODE, in_tunnel(&seen))
            .dropped(DropIcmpFlow)
            .for_service(&request)
            .with_counted_len(len),
    );
    cases
}

#[test]
fn errors_go_where_the_flow_goes() {
    check_all(&cases());
}

/// Many ports, and so many values of all checksums.
#[test]
fn a_rewrite_leaves_any_checksum_right() {
    let machine = Machine::new(AS_NODE);
    for kind in KINDS {
        let what = too_big_type(kind.family);
        for port in (1..=u16::MAX).step_by(13) {
            let request = kind.request(LOCAL).with_client_port(port);
            machine.run_xdp(&request.frame());
            let make = |about: &Ip| frame(ARRIVING, &error(&request, what, about, usize::MAX));
            let output = machine.run_xdp(&make(&seen_by_client(&request))).output;
            assert!(output == make(&sent_by_endpoint(&request)), "{kind} from port {port}");
        }
    }
}

/// An error goes to the bare server that has the flow, and begins none.
#[test]
fn errors_follow_the_flows_of_bare_servers() {
    for kind in KINDS {
        let mut machine = Machine::new(AS_DIRECTOR);
        let request = kind.request(BARE);
        let error = error(&request, too_big_type(kind.family), &seen_by_client(&request), usize::MAX);
        let error_goes_to = |id, machine: &Machine| {
            arrives("an error", AS_DIRECTOR, frame(ARRIVING, &error))
                .becomes(ForwardL2, frame(macs_to_bare_server(id), &with_decremented_ttl(&error)))
                .for_backend(&request, id)
                .with_counted_len(error.bytes().len())
                .assert_on(machine);
        };
        error_goes_to(BARE_SERVERS[0], &machine);
        machine.set_ring(BARE, &[BARE_SERVERS[1] as u16; services::RING_LEN as usize]);
        error_goes_to(BARE_SERVERS[1], &machine);
        machine.run_xdp(&request.frame());
        machine.set_ring(BARE, &[BARE_SERVERS[0] as u16; services::RING_LEN as usize]);
        error_goes_to(BARE_SERVERS[1], &machine);
    }
}

/// In either kind of outer header.
#[test]
fn a_node_delivers_errors_of_the_flows_that_it_knows() {
    let machine = Machine::new(AS_BOTH);
    for (kind, outer) in KINDS.into_iter().flat_map(|kind| FAMILIES.map(|outer| (kind, outer))) {
        let request = kind.request(LOCAL);
        machine.run_xdp(&from_director(outer, &request.ip));
        let error = |about: &Ip| error(&request, too_big_type(kind.family), about, usize::MAX);
        let (input, output) = (error(&seen_by_client(&request)), error(&sent_by_endpoint(&request)));
        arrives("an error", AS_BOTH, from_director(outer, &input))
            .becomes(Deliver, frame(ARRIVING, &output))
            .for_service(&request)
            .with_counted_len(input.bytes().len())
            .assert_on(&machine);
    }
}
