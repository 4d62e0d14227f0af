//! Fragments: later ones follow the first, whatever their order among
//! themselves.

use lb_common::{
    Verdict::{
        Deliver, DropFragment, DropNoSuchPort, DropTooBig, DropTruncated, EgressPass, EgressReply,
        ForwardIpip, ForwardL2, Pass, TellTooBig,
    },
    maps::{FragmentKey, Ports, names},
};

use crate::{
    case::{Case, Given, arrives, check_all, leaves},
    expect::{at_endpoint, from_director, from_vip, part_in_tunnel, reply, too_big_message_about},
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE, Machine, Setup, WITH_FLOWS},
    packet::{Extension, Ip, Payload, frame},
    services::{self, BARE, BARE_SERVERS, IPIP4, IPIP6, L2, LOCAL, MTU, NO_SERVICE, RING_LEN, TO_BACKEND},
    world::{ARRIVING, FAMILIES, Family, KINDS, Kind, LEAVING, Request, STRANGER, pod},
};

/// Of a packet in four fragments, the order they come in.
const ORDER: [usize; 4] = [0, 2, 3, 1];

/// The request with 300 bytes, in four fragments.
fn fragments_of(ip: &Ip, id: u16) -> Vec<Ip> {
    ip.fragments(id, &[64, 80, 72])
}

fn long_request(kind: Kind, port: u16) -> Request {
    kind.request(port).with_len(300)
}

fn with_decremented_ttl(part: &Ip) -> Ip {
    Ip { ttl: part.ttl - 1, ..part.clone() }
}

/// They depend on each other: the first fragment comes first.
pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = KINDS.into_iter().flat_map(cases_of_kind).collect();
    cases.extend(KINDS.into_iter().flat_map(refused));
    cases.extend(behind_destination_options());
    cases
}

/// All fragments of a packet, in `ORDER`, and what becomes of each.
fn fragment_cases(
    name: String,
    setup: Setup,
    request: &Request,
    id: u16,
    arriving: impl Fn(&Ip) -> Vec<u8>,
    become_of: impl Fn(Given, usize, &Ip) -> Case,
) -> Vec<Case> {
    let parts = fragments_of(&request.ip, id);
    ORDER
        .into_iter()
        .map(|n| {
            let given = arrives(format!("{name}: fragment {n} on {setup}"), setup, arriving(&parts[n]));
            become_of(given, n, &parts[n]).with_counted_len(parts[n].bytes().len())
        })
        .collect()
}

fn cases_of_kind(kind: Kind) -> Vec<Case> {
    let plain = |part: &Ip| frame(ARRIVING, part);
    let mut cases = Vec::new();
    for (setup, id) in [(AS_DIRECTOR, 0x101), (AS_BOTH, 0x102)] {
        let request = long_request(kind, L2);
        cases.extend(fragment_cases(
            format!("{kind} by MAC"),
            setup,
            &request,
            id,
            plain,
            |given, _, part| {
                given
                    .becomes(ForwardL2, frame(TO_BACKEND, &with_decremented_ttl(part)))
                    .for_its_backend(&request)
            },
        ));
        for (outer, port) in FAMILIES.into_iter().zip([IPIP4, IPIP6]) {
            let (request, id) = (long_request(kind, port), port + id);
            let name = format!("{kind} into {outer:?}");
            cases.extend(fragment_cases(name, setup, &request, id, plain, |given, _, part| {
                given.becomes(ForwardIpip, part_in_tunnel(outer, &request, part)).for_its_backend(&request)
            }));
        }
    }
    let request = long_request(kind, LOCAL);
    for (setup, id) in [(AS_NODE, 0x201), (AS_BOTH, 0x202)] {
        let at_pod = fragments_of(&at_endpoint(&request, pod(1)).ip, id);
        let deliver = |given: Given, n: usize, _: &Ip| {
            given.becomes(Deliver, frame(ARRIVING, &at_pod[n])).for_service(&request)
        };
        cases.extend(fragment_cases(format!("{kind} not in a tunnel"), setup, &request, id, plain, deliver));
        for outer in FAMILIES {
            let tunnelled = |part: &Ip| from_director(outer, part);
            cases.extend(fragment_cases(
                format!("{kind} out of {outer:?}"),
                setup,
                &request,
                id,
                tunnelled,
                deliver,
            ));
        }
    }
    let answer = reply(&request, pod(1)).ip;
    let (leaving, expected) =
        (fragments_of(&answer, 0x301), fragments_of(&from_vip(&request, &answer), 0x301));
    cases.extend(ORDER.into_iter().map(|n| {
        leaves(format!("{kind}: fragment {n} of a reply"), WITH_FLOWS, frame(LEAVING, &leaving[n]))
            .becomes(EgressReply, frame(LEAVING, &expected[n]))
    }));
    cases
}

/// Fragments that nothing is known of, or that are none of a service.
fn refused(kind: Kind) -> Vec<Case> {
    let name = |what: &str| format!("{kind}: {what}");
    // Of no packet of another kind.
    let id = |id| id + u16::from(kind.protocol());
    let request = long_request(kind, L2);
    let [first, early, ..] = &fragments_of(&request.ip, id(0x401))[..] else { return vec![] };
    let arriving = |what: &str, part: &Ip| arrives(name(what), AS_DIRECTOR, frame(ARRIVING, part));
    let sent_on = |given: Given, part: &Ip| {
        let case = given
            .becomes(ForwardL2, frame(TO_BACKEND, &with_decremented_ttl(part)))
            .for_its_backend(&request);
        case.with_counted_len(part.bytes().len())
    };
    let nowhere = fragments_of(&long_request(kind, NO_SERVICE).ip, id(0x402));
    let to_stranger = |part: &Ip| Ip { dst: STRANGER.ip(kind.family), ..part.clone() };
    let short = if kind.is_tcp { 16 } else { 0 };
    let unsound = request.ip.fragments(id(0x403), &[short]).remove(0);
    let big = kind.request(L2).with_len(4000).ip.fragments(id(0x404), &[MTU + 4]);
    let mut cases = vec![
        arriving("a later fragment before the first", early).dropped(DropFragment),
        sent_on(arriving("the first after a later one", first), first),
        sent_on(arriving("the later one again", early), early),
        arriving("another packet's", &fragments_of(&request.ip, id(0x499))[1]).dropped(DropFragment),
        arriving("another sender's", &Ip { src: STRANGER.ip(kind.family), ..early.clone() })
            .dropped(DropFragment),
        arriving("of the same number, to a stranger", &to_stranger(early)).untouched(Pass),
        arriving("a first one to no service", &nowhere[0]).dropped(DropNoSuchPort),
        arriving("a later one to no service", &nowhere[1]).dropped(DropFragment),
        arriving("a first one without a whole header", &unsound).dropped(DropTruncated),
        arriving("a first one that is too big", &big[0])
            .becomes(TellTooBig, frame(LEAVING, &too_big_message_about(&big[0], MTU - 48)))
            .for_its_backend(&request)
            .with_counted_len(big[0].bytes().len()),
        arriving("a later one that is too big", &big[1])
            .dropped(DropTooBig)
            .for_its_backend(&request)
            .with_counted_len(big[1].bytes().len()),
    ];
    if kind.family == Family::V4 {
        let other = Payload::Other { protocol: if kind.is_tcp { 17 } else { 6 }, bytes: vec![0; 64] };
        cases.push(
            arriving("another protocol's", &Ip { payload: other, ..early.clone() }).dropped(DropFragment),
        );
    }
    let answer = reply(&long_request(kind, LOCAL), pod(1)).ip;
    let late = &fragments_of(&answer, id(0x405))[1];
    cases.push(
        leaves(name("a later fragment of no reply"), WITH_FLOWS, frame(LEAVING, late)).untouched(EgressPass),
    );
    let foreign = Ip { src: pod(2).ip(kind.family), ..answer };
    cases.extend(fragments_of(&foreign, id(0x406)).iter().take(2).enumerate().map(|(n, part)| {
        leaves(name(&format!("fragment {n} from another Pod")), WITH_FLOWS, frame(LEAVING, part))
            .untouched(EgressPass)
    }));
    cases
}

/// The fragment header of a later one does not name the transport, but what
/// came first in the packet: here, destination options.
fn behind_destination_options() -> Vec<Case> {
    let request = long_request(KINDS[3], L2);
    let options = [17, 0, 1, 4, 0, 0, 0, 0];
    let whole = [&options[..], &request.ip.bytes()[40..]].concat();
    let carrier = Ip { payload: Payload::Other { protocol: 60, bytes: whole }, ..request.ip.clone() };
    let parts = carrier.fragments(0x501, &[64, 80]);
    let case = |(n, part): (usize, &Ip)| {
        let name = format!("fragment {n} with destination options in the first");
        arrives(name, AS_DIRECTOR, frame(ARRIVING, part))
            .becomes(ForwardL2, frame(TO_BACKEND, &with_decremented_ttl(part)))
            .for_its_backend(&request)
            .with_counted_len(part.bytes().len())
    };
    parts.iter().enumerate().map(case).collect()
}

#[test]
fn later_fragments_follow_the_first() {
    check_all(&cases());
}

/// Half a minute is as long as anybody waits for the rest.
#[test]
fn a_later_fragment_that_comes_too_late_is_dropped() {
    for kind in KINDS {
        let mut machine = Machine::new(AS_DIRECTOR);
        let request = long_request(kind, L2);
        let parts = fragments_of(&request.ip, 0x601);
        machine.run_xdp(&frame(ARRIVING, &parts[0]));
        let sent = |verdict| {
            let given = arrives(format!("{kind}"), AS_DIRECTOR, frame(ARRIVING, &parts[1]));
            match verdict {
                ForwardL2 => given
                    .becomes(ForwardL2, frame(TO_BACKEND, &with_decremented_ttl(&parts[1])))
                    .for_its_backend(&request)
                    .with_counted_len(parts[1].bytes().len()),
                _ => given.dropped(verdict),
            }
        };
        let age = |machine: &mut Machine, seconds| {
            let mut map = machine.map::<FragmentKey, Ports>(names::FRAGMENTS);
            let (key, ports) = map.iter().next().unwrap().unwrap();
            map.insert(key, Ports { seen: ports.seen.wrapping_sub(seconds), ..ports }, 0).unwrap();
        };
        age(&mut machine, 25);
        sent(ForwardL2).assert_on(&machine);
        age(&mut machine, 10);
        sent(DropFragment).assert_on(&machine);
    }
}

/// Bytes of a later fragment are no TCP flags.
#[test]
fn a_later_fragment_opens_no_connection() {
    let [old, new] = BARE_SERVERS;
    for kind in KINDS.into_iter().filter(|kind| kind.is_tcp) {
        let mut machine = Machine::new(AS_DIRECTOR);
        let mut request = long_request(kind, BARE).into_later_packet();
        request.ip.transport().data.fill(0x02);
        let parts = fragments_of(&request.ip, 0x701);
        for (n, part) in parts.iter().enumerate() {
            arrives(format!("{kind}, fragment {n}"), AS_DIRECTOR, frame(ARRIVING, part))
                .becomes(ForwardL2, frame(services::macs_to_bare_server(old), &with_decremented_ttl(part)))
                .for_backend(&request, old)
                .with_counted_len(part.bytes().len())
                .assert_on(&machine);
            machine.set_ring(BARE, &[new as u16; RING_LEN as usize]);
        }
    }
}

/// Extension headers in front of the fragment header, too.
#[test]
fn fragments_may_have_other_headers_before() {
    let machine = Machine::new(AS_DIRECTOR);
    let request = long_request(KINDS[3], L2);
    let options = Extension { kind: 0, body: vec![0, 1, 4, 0, 0, 0, 0] };
    let ip = Ip { extensions: vec![options], ..request.ip.clone() };
    for (n, part) in fragments_of(&ip, 0x801).iter().enumerate() {
        arrives(format!("fragment {n} behind hop-by-hop options"), AS_DIRECTOR, frame(ARRIVING, part))
            .becomes(ForwardL2, frame(TO_BACKEND, &with_decremented_ttl(part)))
            .for_its_backend(&request)
            .with_counted_len(part.bytes().len())
            .assert_on(&machine);
    }
}
