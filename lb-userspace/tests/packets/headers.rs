//! IPv4 options, and extension headers of IPv6: nothing else about the packet
//! is special, and nothing is changed in them.

use lb_common::Verdict::{Deliver, EgressReply, ForwardIpip, ForwardL2};

use crate::{
    case::{Case, arrives, check_all, leaves},
    expect::{at_endpoint, by_mac, from_director, from_vip, in_tunnel, reply},
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE, WITH_FLOWS},
    packet::{Extension, Ip, frame},
    services::{IPIP4, IPIP6, L2, LOCAL, TO_BACKEND},
    world::{FAMILIES, Family, KINDS, Kind, LEAVING, Request, pod},
};

pub fn cases() -> Vec<Case> {
    KINDS
        .into_iter()
        .flat_map(|kind| headers(kind.family).into_iter().flat_map(move |row| cases_of_kind(kind, row)))
        .collect()
}

/// A name, and what it puts into a packet.
type HeaderRow = (&'static str, Vec<u8>, Vec<Extension>);

fn headers(family: Family) -> Vec<HeaderRow> {
    let v4 = |name, options| (name, options, vec![]);
    let v6 = |name, extensions| (name, vec![], extensions);
    // A PadN option fills the header.
    let options = |kind, eights: u8| {
        let body = [&[eights, 1, eights * 8 + 4][..], &vec![0; usize::from(eights) * 8 + 4]].concat();
        Extension { kind, body }
    };
    let routing = Extension { kind: 43, body: [&[2, 4, 0][..], &[0x5e; 20]].concat() };
    let whole = Extension { kind: 44, body: vec![0, 0, 0, 0xab, 0xcd, 0, 9] };
    match family {
        Family::V4 => vec![
            v4("router alert", vec![0x94, 4, 0, 0]),
            v4("a source route at its end", vec![0x83, 7, 8, 10, 9, 9, 9, 0]),
            v4("all options", vec![1; 40]),
        ],
        Family::V6 => vec![
            v6("hop-by-hop options", vec![options(0, 0)]),
            v6("destination options", vec![options(60, 2)]),
            v6("a routing header", vec![routing.clone()]),
            v6("a fragment that is the whole", vec![whole.clone()]),
            v6("four headers", vec![options(0, 0), options(60, 1), routing, whole]),
            v6("options of 256 bytes", vec![options(60, 31)]),
        ],
    }
}

fn cases_of_kind(kind: Kind, (what, options, extensions): HeaderRow) -> Vec<Case> {
    let name = |to: &str| format!("{kind} with {what}: {to}");
    let with = |request: Request| {
        let ip = Ip { options: options.clone(), extensions: extensions.clone(), ..request.ip };
        Request { ip, ..request }
    };
    let request = |port| with(kind.request(port));
    let local = request(LOCAL);
    let at_pod = at_endpoint(&local, pod(1)).frame();
    let mut cases = vec![
        arrives(name("by MAC address"), AS_DIRECTOR, request(L2).frame())
            .becomes(ForwardL2, by_mac(TO_BACKEND, &request(L2)))
            .for_its_backend(&request(L2)),
        arrives(name("stays"), AS_BOTH, local.frame()).becomes(Deliver, at_pod.clone()).for_service(&local),
        {
            let reply = reply(&local, pod(1)).ip;
            leaves(name("a reply"), WITH_FLOWS, frame(LEAVING, &reply))
                .becomes(EgressReply, frame(LEAVING, &from_vip(&local, &reply)))
        },
    ];
    for (outer, port) in FAMILIES.into_iter().zip([IPIP4, IPIP6]) {
        let request = request(port);
        cases.extend([
            arrives(name(&format!("into {outer:?}")), AS_DIRECTOR, request.frame())
                .becomes(ForwardIpip, in_tunnel(outer, &request))
                .for_its_backend(&request),
            arrives(name(&format!("out of {outer:?}")), AS_NODE, from_director(outer, &local.ip))
                .becomes(Deliver, at_pod.clone())
                .for_service(&local),
        ]);
    }
    cases
}

#[test]
fn options_and_extension_headers_change_nothing() {
    check_all(&cases());
}
