use super::*;
use crate::protocols::{bgp::status::LastError, l2::CandidateStatus};

fn peer(name: &str, state: State) -> PeerStatus {
    PeerStatus {
        name: name.to_owned(),
        remote: "10.0.0.1".to_owned(),
        remote_as: Some(64513),
        state,
        seconds: 12,
        families: vec!["ipv4".to_owned(), "ipv6".to_owned()],
        routes_sent: 5,
        ..PeerStatus::default()
    }
}

#[test]
fn peers_are_a_table_with_what_is_wrong_below() {
    let error = LastError {
        name: "OPEN Message Error: Bad Peer AS".to_owned(),
        code: Some((2, 2)),
        sent: true,
        detail: "it says 64999".to_owned(),
        remedy: "correct peerASN".to_owned(),
        seconds_ago: 3,
    };
    let unnumbered = PeerStatus {
        remote: "eth1".to_owned(),
        address: Some("fe80::1".parse().unwrap()),
        remote_as: None,
        families: Vec::new(),
        routes_sent: 0,
        routes_pending: 5,
        routes_refused: 7,
        bfd: Some("down".to_owned()),
        problems: vec!["no next hop for IPv6; add nextHopV6".to_owned()],
        last_error: Some(error),
        ..peer("far", State::Active)
    };
    let expected = "\
PEER  REMOTE          AS     STATE        FOR   FAMILIES   ROUTES  REFUSED  BFD
near  10.0.0.1        64513  Established  12 s  ipv4 ipv6  5       0        -
far   eth1 (fe80::1)  ?      ACTIVE       12 s  -          0 (+5)  7        down
far: no next hop for IPv6; add nextHopV6
far: 3 s ago we said: OPEN Message Error: Bad Peer AS (it says 64999); correct peerASN
";
    assert_eq!(bgp(&[peer("near", State::Established), unnumbered]), expected);
}

#[test]
fn the_last_error_is_shown_of_an_established_session_too() {
    let error = LastError {
        name: "Cease: Administrative Shutdown".to_owned(),
        code: Some((6, 2)),
        remedy: "see the router's log".to_owned(),
        seconds_ago: 40,
        ..LastError::default()
    };
    let text = bgp(&[PeerStatus { last_error: Some(error), ..peer("near", State::Established) }]);
    let last = text.lines().last().unwrap_or_default();
    assert_eq!(last, "near: 40 s ago the peer said: Cease: Administrative Shutdown; see the router's log");
}

#[test]
fn a_failed_connection_is_ascribed_to_neither_side() {
    let error = LastError {
        name: "Connection Failed".to_owned(),
        detail: "Connection refused".to_owned(),
        remedy: "check the address".to_owned(),
        ..LastError::default()
    };
    let text = bgp(&[PeerStatus { last_error: Some(error), ..peer("near", State::Active) }]);
    let last = text.lines().last().unwrap_or_default();
    assert_eq!(last, "near: 0 s ago: Connection Failed (Connection refused); check the address");
}

#[test]
fn vips_are_shown_with_their_owner_and_candidates() {
    let candidate = |node: &str, alive, ready| CandidateStatus { node: node.to_owned(), alive, ready };
    let vips = [
        VipStatus {
            vip: "192.0.2.1".parse().unwrap(),
            owner: Some("node1".to_owned()),
            announcing: true,
            interfaces: vec!["eth0".to_owned(), "eth1".to_owned()],
            candidates: vec![candidate("node1", true, true), candidate("node2", true, false)],
            faults: Vec::new(),
        },
        VipStatus {
            vip: "2001:db8::1".parse().unwrap(),
            owner: None,
            announcing: false,
            interfaces: vec!["eth0".to_owned()],
            candidates: vec![candidate("node3", false, true)],
            faults: Vec::new(),
        },
    ];
    let expected = "\
VIP          OWNER   HERE       INTERFACES  CANDIDATES
192.0.2.1    node1   announced  eth0 eth1   node1 node2 (not ready)
2001:db8::1  NOBODY  -          eth0        node3 (DEAD)
";
    assert_eq!(l2(&vips), expected);
}
