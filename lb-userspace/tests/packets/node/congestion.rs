//! Congestion met in the tunnel (RFC 6040 section 4.2).

use lb_common::Verdict::{Deliver, DropCongestion};

use super::kinds_in_tunnels;
use crate::{
    case::{Case, arrives, check_all},
    expect::{at_endpoint, ip_in_ip_packet},
    machine::AS_NODE,
    packet::{Ip, frame},
    services::LOCAL,
    world::{ARRIVING, DIRECTOR, Family, Kind, NODE, Request, pod},
};

/// The code points of ECN: RFC 3168 section 5.
const NOT_ECT: u8 = 0;
const ECT_1: u8 = 1;
const ECT_0: u8 = 2;
const CE: u8 = 3;
/// Of DSCP, which stays what it was inside.
const INNER_DSCP: u8 = 0xb8;
const OUTER_DSCP: u8 = 0x48;

/// Inner and outer as they arrive; inner as it leaves, or none if dropped.
/// Outer ECT(1) on inner ECT(0) is not here: nobody on the way makes it.
const TABLE: [(u8, u8, Option<u8>); 15] = [
    (NOT_ECT, NOT_ECT, Some(NOT_ECT)),
    (NOT_ECT, ECT_0, Some(NOT_ECT)),
    (NOT_ECT, ECT_1, Some(NOT_ECT)),
    (NOT_ECT, CE, None),
    (ECT_0, NOT_ECT, Some(ECT_0)),
    (ECT_0, ECT_0, Some(ECT_0)),
    (ECT_0, CE, Some(CE)),
    (ECT_1, NOT_ECT, Some(ECT_1)),
    (ECT_1, ECT_0, Some(ECT_1)),
    (ECT_1, ECT_1, Some(ECT_1)),
    (ECT_1, CE, Some(CE)),
    (CE, NOT_ECT, Some(CE)),
    (CE, ECT_0, Some(CE)),
    (CE, ECT_1, Some(CE)),
    (CE, CE, Some(CE)),
];

pub fn cases() -> Vec<Case> {
    kinds_in_tunnels().flat_map(|(kind, outer)| TABLE.map(|row| case(kind, outer, row))).collect()
}

fn case(kind: Kind, outer: Family, (inside, outside, result): (u8, u8, Option<u8>)) -> Case {
    let request = marked(kind, inside);
    let tunnel = ip_in_ip_packet(&request.ip, DIRECTOR.ip(outer), NODE.ip(outer));
    let input = frame(ARRIVING, &Ip { tos: OUTER_DSCP | outside, ..tunnel });
    let given = arrives(format!("{kind}, {inside:02b} in {outer:?}, {outside:02b}"), AS_NODE, input);
    let case = match result {
        Some(result) => given.becomes(Deliver, at_endpoint(&marked(kind, result), pod(1)).frame()),
        None => given.dropped(DropCongestion),
    };
    case.for_service(&request)
}

fn marked(kind: Kind, ecn: u8) -> Request {
    let request = kind.request(LOCAL);
    Request { ip: Ip { tos: INNER_DSCP | ecn, ..request.ip }, ..request }
}

#[test]
fn congestion_in_the_tunnel_is_passed_on() {
    check_all(&cases());
}
