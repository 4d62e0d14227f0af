//! Ports of a VIP that kube-proxy carries: their packets reach the kernel as they came.

use lb_common::Verdict::{DropFragment, DropTunnelPort, PassKubeProxy};

use crate::{
    case::{Case, arrives, check_all},
    expect::{from_director, from_vip, reply},
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE, Setup},
    packet::{Icmp, Ip, Payload, ethernet, frame},
    services::KUBE_PROXY,
    world::{ARRIVING, FAMILIES, Family, KINDS, Kind, STRANGER, pod},
};

pub fn cases() -> Vec<Case> {
    let machines = [AS_DIRECTOR, AS_NODE, AS_BOTH];
    let plain =
        machines.into_iter().flat_map(|setup| KINDS.into_iter().flat_map(move |kind| passed(setup, kind)));
    let nodes = [AS_NODE, AS_BOTH];
    let tunnels =
        nodes.into_iter().flat_map(|setup| KINDS.into_iter().flat_map(move |kind| in_tunnels(setup, kind)));
    plain.chain(tunnels).collect()
}

fn passed(setup: Setup, kind: Kind) -> Vec<Case> {
    let request = kind.request(KUBE_PROXY);
    let untagged = request.frame();
    let ethertype = u16::from_be_bytes([untagged[12], untagged[13]]);
    let tagged =
        ethernet(ARRIVING, 0x8100, &[&[0, 42][..], &ethertype.to_be_bytes(), &untagged[14..]].concat());
    let error = error_about_reply(kind);
    let given =
        |what: &str, frame| arrives(format!("{what}, {kind}, to kube-proxy on {setup}"), setup, frame);
    vec![
        given("the first packet", untagged).untouched(PassKubeProxy).for_service(&request),
        given("a later packet", request.clone().into_later_packet().frame())
            .untouched(PassKubeProxy)
            .for_service(&request),
        given("with a tag", tagged).untouched(PassKubeProxy).for_service(&request),
        given("an ICMP error", frame(ARRIVING, &error))
            .untouched(PassKubeProxy)
            .for_service(&request)
            .with_counted_len(error.bytes().len()),
    ]
}

/// From a router on the way to the client.
fn error_about_reply(kind: Kind) -> Ip {
    let request = kind.request(KUBE_PROXY);
    let about = from_vip(&request, &reply(&request, pod(1)).ip);
    let (number, code) = if kind.family == Family::V4 { (3, 4) } else { (2, 0) };
    let icmp = Icmp::error(number, code, 1400, &about, usize::MAX);
    Ip::new(STRANGER.ip(kind.family), about.src, Payload::Icmp(icmp))
}

/// From a director that takes the port for one of a service.
fn in_tunnels(setup: Setup, kind: Kind) -> Vec<Case> {
    let (first, later) = (kind.request(KUBE_PROXY), kind.request(KUBE_PROXY).into_later_packet());
    let case = |outer, what: &str, ip: &Ip| {
        let name = format!("{what}, {kind} in {outer:?}, to kube-proxy on {setup}");
        arrives(name, setup, from_director(outer, ip)).dropped(DropTunnelPort).for_service(&first)
    };
    FAMILIES
        .into_iter()
        .flat_map(|outer| {
            [case(outer, "the first packet", &first.ip), case(outer, "a later packet", &later.ip)]
        })
        .collect()
}

#[test]
fn what_kube_proxy_carries_reaches_it_untouched() {
    check_all(&cases());
}

/// They depend on each other: later ones are known by the first.
#[test]
fn fragments_follow_the_first_to_kube_proxy() {
    let mut cases = Vec::new();
    for (setup, id) in [(AS_DIRECTOR, 0x501), (AS_NODE, 0x502), (AS_BOTH, 0x503)] {
        for kind in KINDS {
            let request = kind.request(KUBE_PROXY).with_len(300);
            let parts = request.ip.fragments(id + 8 * u16::from(kind.protocol()), &[64, 80, 72]);
            let given = |n: usize| {
                arrives(format!("{kind}: fragment {n} on {setup}"), setup, frame(ARRIVING, &parts[n]))
            };
            cases.push(given(3).dropped(DropFragment));
            cases.extend([0, 2, 3, 1].map(|n| {
                let case = given(n).untouched(PassKubeProxy).for_service(&request);
                case.with_counted_len(parts[n].bytes().len())
            }));
        }
    }
    check_all(&cases);
}
