//! Tunnels of others: a CNI's own, say, between the same machines. They pass
//! untouched, and nobody gets into the cluster through them.

use lb_common::Verdict::{DropOtherProtocol, Pass, PassForeignTunnel};

use super::{NODES, kinds_in_tunnels};
use crate::{
    case::{Case, arrives, check_all},
    expect::{from_director, ip_in_ip_packet},
    machine::{AS_DIRECTOR, AS_NODE},
    packet::{ETH_LEN, frame},
    services::LOCAL,
    world::{ARRIVING, CLIENT, DIRECTOR, Family, Host, Kind, NODE, OTHER_NODE, STRANGER, VIP, pod},
};

pub fn cases() -> Vec<Case> {
    kinds_in_tunnels().flat_map(|(kind, outer)| cases_of_kind(kind, outer)).collect()
}

fn cases_of_kind(kind: Kind, outer: Family) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let name = |what: &str| format!("{kind} in {outer:?}: {what}");
    let between =
        |from: Host, to: Host| frame(ARRIVING, &ip_in_ip_packet(&request.ip, from.ip(outer), to.ip(outer)));
    let to_pod = from_director(outer, &request.clone().with_destination(pod(1)).ip);
    let mut cases = Vec::new();
    for setup in NODES {
        let given = |what: &str, input| arrives(name(&format!("{what} on {setup}")), setup, input);
        cases.extend([
            given("from a stranger", between(STRANGER, NODE)).untouched(PassForeignTunnel),
            given("from a client", between(CLIENT, NODE)).untouched(PassForeignTunnel),
            given("from this machine itself", between(NODE, NODE)).untouched(PassForeignTunnel),
            given("to somebody else", between(DIRECTOR, OTHER_NODE)).untouched(PassForeignTunnel),
            given("to a stranger", between(DIRECTOR, STRANGER)).untouched(PassForeignTunnel),
            given("to a VIP", between(DIRECTOR, VIP)).dropped(DropOtherProtocol),
            given("to a Pod", to_pod.clone()).untouched(PassForeignTunnel),
        ]);
    }
    cases.extend([
        arrives(name("a director alone ends none"), AS_DIRECTOR, between(DIRECTOR, NODE)).untouched(Pass),
        arrives(name("to a VIP at a director"), AS_DIRECTOR, between(CLIENT, VIP)).dropped(DropOtherProtocol),
        garbage_inside(kind, outer),
    ]);
    cases
}

/// What is inside is no IP packet at all.
fn garbage_inside(kind: Kind, outer: Family) -> Case {
    let mut input = from_director(outer, &kind.request(LOCAL).ip);
    input[ETH_LEN + if outer == Family::V4 { 20 } else { 40 }] = 0x15;
    let name = format!("{kind} in {outer:?}: an inner header of version 1");
    arrives(name, AS_NODE, input).untouched(PassForeignTunnel)
}

#[test]
fn tunnels_of_others_pass_untouched() {
    check_all(&cases());
}
