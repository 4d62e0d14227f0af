use std::time::Duration;

use super::*;
use crate::protocols::bfd::{SessionState, wire::Diagnostic};

fn key(remote: &str, local: Option<&str>, interface: Option<&str>, multihop: bool) -> SessionKey {
    let ip = |text: &str| text.parse().unwrap();
    SessionKey { remote: ip(remote), local: local.map(ip), interface: interface.map(Into::into), multihop }
}

fn packet(yours: u32) -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state: SessionState::Down,
        is_poll: false,
        is_final: false,
        is_demand: false,
        multiplier: 3,
        mine: 99,
        yours,
        transmit: Duration::from_secs(1),
        receive: Duration::from_secs(1),
    }
}

fn arrival(from: &str, to: &str) -> Arrival<'static> {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    Arrival { from, to, interface: Some("eth0"), ttl: 255, is_multihop: false }
}

/// The place of the session in the list, whose discriminators are the places
/// and one more.
fn selected_index(keys: &[SessionKey], yours: u32, arrival: &Arrival<'_>) -> Option<usize> {
    let profile = Profile { minimum_ttl: 250, ..Profile::default() };
    let candidates =
        keys.iter().zip(1..).map(|(key, discriminator)| Candidate { key, profile: &profile, discriminator });
    let found = select_session(candidates, &packet(yours), arrival)?;
    keys.iter().position(|key| key == found)
}

#[test]
fn the_discriminator_decides_whatever_the_address() {
    let keys = [key("192.0.2.1", None, None, false), key("192.0.2.2", None, None, false)];
    assert_eq!(selected_index(&keys, 2, &arrival("192.0.2.1", "192.0.2.9")), Some(1));
    assert_eq!(selected_index(&keys, 3, &arrival("192.0.2.1", "192.0.2.9")), None);
    assert_eq!(selected_index(&keys, 1, &arrival("2001:db8::1", "2001:db8::9")), None);
}

#[test]
fn without_a_discriminator_the_addresses_decide_and_the_closer_match_wins() {
    let keys = [
        key("192.0.2.1", None, None, false),
        key("192.0.2.1", Some("192.0.2.9"), None, false),
        key("192.0.2.2", Some("192.0.2.9"), None, false),
    ];
    let table = [
        ("192.0.2.1", "192.0.2.9", Some(1)),
        ("192.0.2.1", "192.0.2.8", Some(0)),
        ("192.0.2.2", "192.0.2.9", Some(2)),
        ("192.0.2.2", "192.0.2.8", None),
        ("192.0.2.3", "192.0.2.9", None),
    ];
    for (from, to, expected) in table {
        assert_eq!(selected_index(&keys, 0, &arrival(from, to)), expected, "{from} to {to}");
    }
}

#[test]
fn link_local_neighbours_are_distinguished_by_interface() {
    let keys = [key("fe80::1", None, Some("eth1"), false), key("fe80::1", None, Some("eth0"), false)];
    let from = arrival("fe80::1", "fe80::9");
    assert_eq!(selected_index(&keys, 0, &from), Some(1));
    assert_eq!(selected_index(&keys, 0, &Arrival { interface: Some("eth1"), ..from }), Some(0));
    assert_eq!(selected_index(&keys, 0, &Arrival { interface: Some("eth2"), ..from }), None);
    assert_eq!(selected_index(&keys, 0, &Arrival { interface: None, ..from }), None);
}

#[test]
fn a_packet_from_too_far_away_is_for_no_session() {
    let keys = [key("192.0.2.1", None, None, false), key("192.0.2.1", None, None, true)];
    let from = arrival("192.0.2.1", "192.0.2.9");
    // TTL, over several hops, and the session.
    let table = [
        (255, false, Some(0)),
        (254, false, None),
        (0, false, None),
        (250, true, Some(1)),
        (249, true, None),
    ];
    for (ttl, is_multihop, expected) in table {
        let arrival = Arrival { ttl, is_multihop, ..from };
        assert_eq!(selected_index(&keys, 0, &arrival), expected, "{arrival:?}");
        let yours = if is_multihop { 2 } else { 1 };
        assert_eq!(selected_index(&keys, yours, &arrival), expected, "{arrival:?}");
    }
    assert_eq!(selected_index(&keys, 1, &Arrival { is_multihop: true, ..from }), None, "another port");
}
