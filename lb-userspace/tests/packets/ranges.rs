//! Services that admit some clients only. Both of `services::RANGED`'s ranges
//! are the same for all: 198.51.100.4/30 around the client, and a stranger; in
//! IPv6 the last two bits are free as well.

use lb_common::Verdict::{self, Deliver, DropSourceRange, ForwardL2};

use crate::{
    case::{Case, arrives, check_all},
    expect::{at_endpoint, by_mac, from_director},
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE},
    services::{L2, RANGED, TO_BACKEND},
    world::{KINDS, Kind, OTHER_NODE, Request, STRANGER, pod},
};

/// The client's address ends in 7: 4 to 7 are one range of two bits.
const NEIGHBOURS: [(i8, bool); 5] = [(0, true), (-3, true), (-4, false), (1, false), (-1, true)];

pub fn cases() -> Vec<Case> {
    KINDS.into_iter().flat_map(cases_of_kind).collect()
}

fn cases_of_kind(kind: Kind) -> Vec<Case> {
    let opening = kind.request(RANGED);
    let mut cases = Vec::new();
    for (distance, is_admitted) in NEIGHBOURS {
        let request = opening.clone().with_client_offset(distance);
        cases.extend(cases_everywhere(&format!("{kind} from {}", request.ip.src), &request, is_admitted));
    }
    let request = |host| opening.clone().with_client(host);
    cases.extend(cases_everywhere(&format!("{kind} from a single address"), &request(STRANGER), true));
    cases.extend(cases_everywhere(&format!("{kind} from another one"), &request(OTHER_NODE), false));
    cases.extend(cases_everywhere(
        &format!("{kind} in the middle of a flow"),
        &opening.clone().with_client_offset(1).into_later_packet(),
        false,
    ));
    let other = kind.request(L2).with_client_offset(1);
    let given = arrives(format!("{kind} to a service without ranges"), AS_DIRECTOR, other.frame());
    cases.push(given.becomes(ForwardL2, by_mac(TO_BACKEND, &other)).for_its_backend(&other));
    cases
}

/// Straight from outside, and from a director that may not have looked at it.
fn cases_everywhere(name: &str, request: &Request, is_admitted: bool) -> Vec<Case> {
    let endpoint = at_endpoint(request, pod(1)).frame();
    let mut cases = vec![
        admitted_or_dropped(
            arrives(format!("{name} in a tunnel"), AS_NODE, tunnelled(request)),
            is_admitted,
            Deliver,
            &endpoint,
        )
        .for_service(request),
        admitted_or_dropped(
            arrives(format!("{name} on a node"), AS_NODE, request.frame()),
            is_admitted,
            Deliver,
            &endpoint,
        )
        .for_service(request),
    ];
    for setup in [AS_DIRECTOR, AS_BOTH] {
        let given = arrives(format!("{name} on {setup}"), setup, request.frame());
        let case = admitted_or_dropped(given, is_admitted, ForwardL2, &by_mac(TO_BACKEND, request));
        cases.push(if is_admitted { case.for_its_backend(request) } else { case.for_service(request) });
    }
    cases
}

fn tunnelled(request: &Request) -> Vec<u8> {
    from_director(request.kind.family, &request.ip)
}

fn admitted_or_dropped(
    given: crate::case::Given,
    is_admitted: bool,
    verdict: Verdict,
    output: &[u8],
) -> Case {
    if is_admitted { given.becomes(verdict, output.to_vec()) } else { given.dropped(DropSourceRange) }
}

#[test]
fn only_clients_in_a_services_ranges_are_admitted() {
    check_all(&cases());
}
