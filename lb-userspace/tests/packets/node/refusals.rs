//! Packets from a director that this node can do nothing with.

use lb_common::Verdict::{
    DropFragment, DropIcmp, DropNoEndpoint, DropNoSuchPort, DropOptions, DropOtherProtocol, DropTruncated,
    DropTunnelPort,
};

use super::{NODES, kinds_in_tunnels};
use crate::{
    case::{Case, arrives, check_all},
    expect::{from_director, ip_in_ip_packet},
    machine::AS_NODE,
    packet::{ETH_LEN, Ip, Payload},
    services::{IPIP4, LOCAL, NO_SERVICE},
    world::{CLIENT, FAMILIES, Family, KINDS, Kind, VIP},
};

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = kinds_in_tunnels().flat_map(|(kind, outer)| in_tunnel(kind, outer)).collect();
    cases.extend(KINDS.into_iter().flat_map(by_mac));
    cases.extend(FAMILIES.into_iter().flat_map(|outer| FAMILIES.map(|inner| tunnel_in_tunnel(outer, inner))));
    cases.extend(FAMILIES.into_iter().flat_map(unfit_inside));
    cases
}

fn in_tunnel(kind: Kind, outer: Family) -> Vec<Case> {
    let name = |what: &str| format!("{kind} in {outer:?}: {what}");
    let elsewhere = kind.request(IPIP4);
    let unknown = from_director(outer, &kind.request(NO_SERVICE).ip);
    let mut cases: Vec<_> = NODES
        .into_iter()
        .flat_map(|setup| {
            let given = arrives(
                name(&format!("no endpoint here on {setup}")),
                setup,
                from_director(outer, &elsewhere.ip),
            );
            let port = arrives(name(&format!("no such port on {setup}")), setup, unknown.clone());
            [given.dropped(DropNoEndpoint).for_service(&elsewhere), port.dropped(DropTunnelPort)]
        })
        .collect();
    let whole = from_director(outer, &kind.request(LOCAL).ip);
    let cut = whole[..whole.len() - 1].to_vec();
    cases.push(arrives(name("one byte is missing"), AS_NODE, cut).dropped(DropTruncated));
    cases
}

/// To a VIP, not in a tunnel, on a machine that is only a node.
fn by_mac(kind: Kind) -> Vec<Case> {
    let elsewhere = kind.request(IPIP4);
    let given = |what: &str, port| arrives(format!("{kind}: {what}"), AS_NODE, kind.request(port).frame());
    let mut cases = vec![
        given("no endpoint here", IPIP4).dropped(DropNoEndpoint).for_service(&elsewhere),
        given("no such port", NO_SERVICE).dropped(DropNoSuchPort),
    ];
    if kind.is_tcp {
        cases.extend((8..20).map(|len| cut_tcp(kind, len)));
    }
    cases
}

/// A TCP header that its own IP packet cuts short: enough to find the service
/// by, not enough to rewrite.
fn cut_tcp(kind: Kind, len: usize) -> Case {
    let request = kind.request(LOCAL);
    let mut frame = request.frame();
    let ip_len = kind.header_len() + len;
    frame.truncate(ETH_LEN + ip_len);
    let (at, said) = match kind.family {
        Family::V4 => (ETH_LEN + 2, ip_len),
        Family::V6 => (ETH_LEN + 4, len),
    };
    frame[at..at + 2].copy_from_slice(&(said as u16).to_be_bytes());
    let given = arrives(format!("{kind}: {len} bytes of TCP header"), AS_NODE, frame);
    given.dropped(DropTruncated).for_service(&request).with_counted_len(ip_len)
}

/// A tunnel in a tunnel.
fn tunnel_in_tunnel(outer: Family, inner: Family) -> Case {
    let request = KINDS[0].request(LOCAL);
    let middle = ip_in_ip_packet(&request.ip, CLIENT.ip(inner), VIP.ip(inner));
    let name = format!("a tunnel to a VIP over {inner:?} in one over {outer:?}");
    arrives(name, AS_NODE, from_director(outer, &middle)).dropped(DropOtherProtocol)
}

/// What no service takes does not come in by a tunnel either.
fn unfit_inside(outer: Family) -> Vec<Case> {
    let [v4, _, v6, _] = KINDS.map(|kind| kind.request(LOCAL).with_len(200).ip);
    let other = |ip: &Ip, protocol| {
        let payload = Payload::Other { protocol, bytes: vec![0; 40] };
        Ip { payload, ..ip.clone() }
    };
    let later_v6 = v6.fragments(0x77, &[80]).remove(1);
    let table = [
        ("a later IPv4 fragment", Ip { fragment: 0x00b9, ..v4.clone() }, DropFragment),
        ("ICMP", other(&v4, 1), DropIcmp),
        ("a later IPv6 fragment", later_v6, DropFragment),
        ("five extension headers", other(&v6, 0), DropOptions),
        ("ICMPv6", other(&v6, 58), DropIcmp),
    ];
    let given =
        |what: &str, ip: &Ip| arrives(format!("{what} in {outer:?}"), AS_NODE, from_director(outer, ip));
    table.iter().map(|(what, ip, verdict)| given(what, ip).dropped(*verdict)).collect()
}

#[test]
fn packets_that_a_node_can_do_nothing_with_are_dropped_for_a_reason() {
    check_all(&cases());
}
