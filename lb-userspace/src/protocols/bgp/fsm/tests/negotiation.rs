//! What makes a good OPEN (RFC 4271, 6.2; RFC 6286; RFC 7607), and what follows from two.

use super::*;

fn refusal_code(config: &PeerConfig, open: &Open) -> Option<(u8, u8)> {
    negotiate(config, open).err().map(|told| told.code)
}

#[test]
fn the_as_must_be_the_expected_one() {
    let open = |asn| their_open_with(asn, Ipv4Addr::new(10, 0, 0, 2));
    let bad = Some(code::BAD_PEER_AS);
    let table = [
        (RemoteAs::Number(65_002), 65_002, None),
        (RemoteAs::Number(65_002), 65_003, bad),
        (RemoteAs::Number(4_200_000_000), 4_200_000_000, None),
        (RemoteAs::Internal, 65_001, None),
        (RemoteAs::Internal, 65_002, bad),
        (RemoteAs::External, 65_002, None),
        (RemoteAs::External, 65_001, bad),
        (RemoteAs::External, 0, bad),
    ];
    for (remote_as, asn, expected) in table {
        let config = PeerConfig { remote_as, ..testing::config() };
        assert_eq!(refusal_code(&config, &open(asn)), expected, "{remote_as:?} {asn}");
    }
}

#[test]
fn identifiers_must_differ_within_an_as_and_not_be_zero() {
    let ours = testing::config().router_id;
    let bad = Some(code::BAD_BGP_IDENTIFIER);
    let external = testing::config();
    let internal = PeerConfig { remote_as: RemoteAs::Internal, ..testing::config() };
    assert_eq!(refusal_code(&external, &their_open_with(65_002, Ipv4Addr::UNSPECIFIED)), bad);
    assert_eq!(refusal_code(&internal, &their_open_with(65_001, ours)), bad);
    assert_eq!(refusal_code(&external, &their_open_with(65_002, ours)), None);
}

#[test]
fn the_smaller_hold_time_counts() {
    let table = [
        (90, 30, Ok(Some(30))),
        (9, 30, Ok(Some(9))),
        (90, 0, Ok(None)),
        (0, 30, Ok(None)),
        (90, 3, Ok(Some(3))),
        (90, 2, Err(code::UNACCEPTABLE_HOLD_TIME)),
        (90, 1, Err(code::UNACCEPTABLE_HOLD_TIME)),
    ];
    for (ours, hold_time, expected) in table {
        let config = PeerConfig { hold_time: Duration::from_secs(ours), ..testing::config() };
        let result = negotiate(&config, &Open { hold_time, ..their_open() });
        let hold_time = result.map(|negotiated| negotiated.hold_time.map(|hold| hold.as_secs()));
        assert_eq!(hold_time.map_err(|told| told.code), expected);
    }
}

#[test]
fn families_are_those_that_both_speak() {
    let families = |ipv4, ipv6| PeerConfig { families: Families { ipv4, ipv6 }, ..testing::config() };
    let open = |families: &[Family]| {
        let capabilities = families.iter().map(|family| Capability::MultiProtocol(*family)).collect();
        Open::new(65_002, 90, Ipv4Addr::new(10, 0, 0, 2), capabilities)
    };
    let common = |config: &PeerConfig, open: &Open| {
        negotiate(config, open).map(|negotiated| negotiated.families).map_err(|told| told.code)
    };
    let (v4, v6) = (Family::Ipv4, Family::Ipv6);
    assert_eq!(common(&families(true, true), &open(&[v4, v6])), Ok(vec![v4, v6]));
    assert_eq!(common(&families(true, true), &open(&[v6])), Ok(vec![v6]));
    assert_eq!(common(&families(true, false), &open(&[])), Ok(vec![v4]));
    assert_eq!(common(&families(false, true), &open(&[v4])), Err(code::UNSUPPORTED_CAPABILITY));
}

#[test]
fn our_open_says_what_we_are_and_how_we_restarted() {
    let restart = Restart { restarted: true, forwarding: true };
    let config = PeerConfig { local_as: 4_200_000_001, ..testing::config() };
    let (_, Message::Open(open)) =
        Connection::begin(config.into(), restart, Jitter::seeded(1), Instant::now())
    else {
        panic!("no OPEN")
    };
    assert_eq!((open.asn(), open.hold_time), (4_200_000_001, 90));
    let expected = GracefulRestart {
        restarted: true,
        notification: true,
        time: 120,
        families: vec![(Family::Ipv4, true), (Family::Ipv6, true)],
    };
    assert_eq!(open.graceful_restart(), Some(&expected));
    for capability in
        [Capability::RouteRefresh, Capability::EnhancedRouteRefresh, Capability::ExtendedNextHop]
    {
        assert!(open.has_capability(&capability));
    }
}

#[test]
fn graceful_restart_counts_only_if_both_offer_it() {
    let offered = |graceful_restart, open: &Open| {
        let config = PeerConfig { graceful_restart, ..testing::config() };
        let negotiated = negotiate(&config, open).unwrap();
        (negotiated.graceful_restart, negotiated.hard_reset)
    };
    assert_eq!(offered(Some(SECOND), &their_open()), (true, true));
    assert_eq!(offered(None, &their_open()), (false, false));
    assert_eq!(offered(Some(SECOND), &without_graceful_restart()), (false, false));
}
