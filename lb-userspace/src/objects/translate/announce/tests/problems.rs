//! Every problem is reported, and affects only the objects that depend on it.

mod others;
mod peers;

use others::{OTHERS, PARTIAL, POOLS};
use peers::PEERS;

use super::*;
use crate::objects::crds::definitions;

/// Two texts, of which the first is replaced by the second in the base, the problem that results, and
/// the names of the objects that are left out.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);

/// What is not as the row says.
fn row_mismatch((from, to, expected, gone): &Row) -> Option<String> {
    let (all, problems) = announcing_of(&changed_base(from, to));
    let expected = format!("test.yaml:{expected}");
    let rest: Vec<_> = NAMES.iter().copied().filter(|name| !gone.contains(name)).collect();
    let is_right = problems.iter().any(|problem| problem.starts_with(&expected))
        // Beside it, only problems of objects that depend on the bad one.
        && problems.len() == gone.len().max(1)
        && problems.iter().all(|problem| problem.contains("; "))
        && all_names(&all) == rest;
    (!is_right).then(|| {
        format!("{to}: expected {expected}\nleft {rest:?}, but {:?}: {problems:#?}", all_names(&all))
    })
}

#[test]
fn every_problem_names_line_object_field_and_remedy_and_the_rest_is_used() {
    let rows = POOLS.iter().chain(PEERS).chain(OTHERS).chain(PARTIAL);
    let mismatches: Vec<_> = rows.filter_map(row_mismatch).collect();
    assert!(mismatches.is_empty(), "{}", mismatches.join("\n"));
}

#[test]
fn a_list_that_is_too_long_is_one_problem() {
    let more: String =
        (0..1000).map(|number| format!("  - 10.{}.{}.0/24\n", number / 250, number % 250)).collect();
    let (all, problems) =
        announcing_of(&changed_base("  - 192.0.2.0/24\n", &format!("  - 192.0.2.0/24\n{more}")));
    let expected = "test.yaml:12: AddressPool default/web: spec.addresses: has 1002 entries; write at most 1000, and \
                    the others in another object";
    assert_eq!(problems, [expected]);
    assert!(all.pools.is_empty());
}

/// The limits of a number in the schema of a kind.
fn schema_limits(kind: &str, field: &str) -> (u32, u32) {
    let crds = definitions();
    let crd = crds.iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let crd = serde_json::to_value(crd).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let field = &schema["properties"]["spec"]["properties"][field];
    let limit = |name: &str| field[name].as_f64().unwrap() as u32;
    (limit("minimum"), limit("maximum"))
}

/// An API server takes no number that is refused here, and refuses none that is taken.
#[test]
fn numbers_have_the_limits_of_the_schema() {
    // Kind, the line of the base that is replaced, field.
    let table = [
        ("BgpPeer", "  bfdProfile: fast\n", "peerPort"),
        ("BgpPeer", "  bfdProfile: fast\n", "ttlSecurity"),
        ("BgpAdvertisement", "  localPref: 100\n", "aggregationLength"),
        ("BgpAdvertisement", "  localPref: 100\n", "aggregationLengthV6"),
        ("BgpAdvertisement", "  localPref: 100\n", "prepend"),
        ("BfdProfile", "  transmitInterval: 100\n", "transmitInterval"),
        ("BfdProfile", "  transmitInterval: 100\n", "receiveInterval"),
        ("BfdProfile", "  transmitInterval: 100\n", "echoInterval"),
        ("BfdProfile", "  transmitInterval: 100\n", "detectMultiplier"),
        ("BfdProfile", "  transmitInterval: 100\n", "minimumTtl"),
    ];
    for (kind, line, field) in table {
        let (least, most) = schema_limits(kind, field);
        let is_refused = |number: u32| {
            let (_, problems) = announcing_of(&changed_base(line, &format!("  {field}: {number}\n")));
            problems.iter().any(|problem| problem.contains(&format!("spec.{field}: {number} is not")))
        };
        assert!(!is_refused(least) && !is_refused(most), "{kind}.{field}: {least} or {most} is refused");
        assert!(least == 0 || is_refused(least - 1), "{kind}.{field}: less than {least} is taken");
        assert!(is_refused(most + 1), "{kind}.{field}: more than {most} is taken");
    }
}

#[test]
fn of_two_objects_that_conflict_the_first_stays() {
    let peer = "spec: {myASN: 64512, peerASN: 1, peerAddress: 10.0.0.254";
    let table = [
        (
            base_with(
                "AddressPool",
                "metadata: {name: x}\nspec: {addresses: [10.9.0.0/24, 192.0.2.200-192.0.2.210]}",
            ),
            "AddressPool default/x: spec.addresses[1]: 192.0.2.200-192.0.2.210 overlaps 192.0.2.0/24 of AddressPool \
             default/web; give each pool addresses of its own",
        ),
        (
            base_with("BgpPeer", &format!("metadata: {{name: x}}\n{peer}}}")),
            "BgpPeer default/x: spec.peerAddress: 10.0.0.254 port 179 is already the peer of BgpPeer default/router1; remove",
        ),
        (
            base_with("BgpAdvertisement", "metadata: {name: x}\nspec: {localPref: 200}"),
            "BgpAdvertisement default/x: spec.localPref: 200 contradicts 100 of BgpAdvertisement default/all, for the \
             same routes to the same peers; write the same in both",
        ),
        (
            base_with("BgpAdvertisement", "metadata: {name: x}\nspec: {localPref: 100, med: 5}"),
            "BgpAdvertisement default/x: spec.med: 5 contradicts none of BgpAdvertisement default/all",
        ),
        (
            base_with(
                "Community",
                "metadata: {name: x}\nspec: {communities: [{name: anycast, value: '1:1'}]}",
            ),
            "Community default/x: spec.communities: `anycast` has a meaning by Community default/names already; use",
        ),
        (
            base_with("L2Advertisement", "metadata: {name: lan, namespace: x}\nspec: {}"),
            "L2Advertisement x/lan: metadata.name: L2Advertisement default/lan has this name; give",
        ),
    ];
    for (text, expected) in table {
        let (all, problems) = announcing_of(&text);
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].contains(expected), "\n   found: {}\nexpected: {expected}", problems[0]);
        assert_eq!(all, good_announcing(BASE));
    }
}

#[test]
fn advertisements_that_differ_in_where_or_to_whom_do_not_contradict_each_other() {
    let peer = "---\napiVersion: trigon.dev/v1alpha1\nkind: BgpPeer\nmetadata: {name: router2}\n\
                spec: {myASN: 64512, peerASN: 1, peerAddress: 10.0.0.253}";
    let table = [
        "localPref: 200, peers: [router2]",
        "localPref: 200, aggregationLength: 24, aggregationLengthV6: 124",
        "localPref: 200, nodeSelectors: [{matchLabels: {rack: b}}]",
        "localPref: 200, ipAddressPoolSelectors: [{matchLabels: {tier: back}}]",
        "localPref: 200, serviceSelectors: [{matchLabels: {a: b}}]",
        "localPref: 100, communities: [no-export]",
    ];
    for spec in table {
        let text = base_with("BgpAdvertisement", &format!("metadata: {{name: x}}\nspec: {{{spec}}}\n{peer}"));
        // A range of whole prefixes
        let all = good_announcing(&text.replace("2001:db8::20", "2001:db8::1f"));
        assert!(all.bgp.contains_key("x"), "{spec}");
    }
    // One of two lengths is the same.
    let (_, problems) = announcing_of(&base_with(
        "BgpAdvertisement",
        "metadata: {name: x}\nspec: {localPref: 200, aggregationLength: 24}",
    ));
    assert_eq!(problems.len(), 1);
}

#[test]
fn what_is_written_wrong_about_the_kind_is_told_and_the_rest_goes_on() {
    let table = [
        (
            changed_base("kind: L2Advertisement", "kind: L2Advertisment"),
            "test.yaml:36: L2Advertisment default/lan: kind: `L2Advertisment` is not a trigon.dev kind; write \
             `kind: L2Advertisement`",
        ),
        (
            changed_base("kind: L2Advertisement", "kind: Lan"),
            "test.yaml:36: Lan default/lan: kind: `Lan` is not a trigon.dev kind; write one of AddressPool, BgpPeer, ",
        ),
        (
            changed_base("v1alpha1\nkind: L2Adv", "v1beta1\nkind: L2Adv"),
            "test.yaml:35: L2Advertisement default/lan: apiVersion: `trigon.dev/v1beta1` is not a version that Trigon \
             reads; write `apiVersion: trigon.dev/v1alpha1`",
        ),
        (
            changed_base("metadata: {name: lan}", "metadata: {}"),
            "test.yaml:37: L2Advertisement without a name: metadata.name: is missing; give",
        ),
        (
            base_with("L2Advertisement", "metadata: {name: lan}\nspec: {}"),
            "test.yaml:64: L2Advertisement default/lan: metadata.name: is there twice, first at test.yaml:37; remove",
        ),
    ];
    for (text, expected) in table {
        let (all, problems) = announcing_of(&text);
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(expected), "\n   found: {}\nexpected: {expected}", problems[0]);
        assert_eq!(all_names(&all), NAMES[..5], "{text}");
    }
}

#[test]
fn the_same_address_may_be_another_peer_on_other_nodes() {
    let peer = |rack: &str| {
        let selector = format!("nodeSelectors: [{{matchLabels: {{rack: {rack}}}}}]");
        base_with(
            "BgpPeer",
            &format!(
                "metadata: {{name: x}}\nspec: {{myASN: 64512, peerASN: 1, peerAddress: 10.0.0.254, {selector}}}"
            ),
        )
    };
    assert!(good_announcing(&peer("b")).peers.contains_key("x"));
    let (all, problems) = announcing_of(&peer("a"));
    assert_eq!((problems.len(), all), (1, good_announcing(BASE)));
}
