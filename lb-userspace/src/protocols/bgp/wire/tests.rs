use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::{collection, option, prelude::*};

use super::*;
use crate::protocols::bgp::config::LargeCommunity;

mod fuzz;

fn parse_prefix(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn parse_v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn decode_as(message: &[u8], four_octet_as: bool) -> Result<Option<Message>, Notification> {
    let mut decoder = Decoder::default();
    decoder.push_bytes(message);
    decoder.next_message(four_octet_as)
}

fn decode(message: &[u8]) -> Result<Option<Message>, Notification> {
    decode_as(message, true)
}

fn raw_message(number: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    bytes.extend(u16::try_from(HEADER + body.len()).unwrap().to_be_bytes());
    bytes.push(number);
    bytes.extend(body);
    bytes
}

fn open() -> Open {
    let restart = GracefulRestart {
        restarted: true,
        notification: true,
        time: 120,
        families: vec![(Family::Ipv4, true)],
    };
    let others = vec![
        Capability::MultiProtocol(Family::Ipv4),
        Capability::MultiProtocol(Family::Ipv6),
        Capability::RouteRefresh,
        Capability::EnhancedRouteRefresh,
        Capability::ExtendedNextHop,
        Capability::GracefulRestart(restart),
        Capability::Other { code: 200, value: vec![1, 2, 3] },
    ];
    Open::new(4_200_000_001, 90, Ipv4Addr::new(10, 0, 0, 1), others)
}

fn attributes() -> PathAttributes {
    PathAttributes {
        as_path: vec![4_200_000_001, 65_001],
        med: Some(7),
        local_pref: Some(200),
        communities: [0x0001_0002, GRACEFUL_SHUTDOWN].into(),
        large_communities: [LargeCommunity(4_200_000_001, 2, 3)].into(),
        ..PathAttributes::default()
    }
}

fn samples() -> Vec<Message> {
    let next_hop =
        RouteNextHop::V6 { global: parse_v6("2001:db8::1"), link_local: Some(parse_v6("fe80::1")) };
    let v4_hop = RouteNextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
    let v4 = vec![parse_prefix("198.51.100.1/32"), parse_prefix("10.0.0.0/8"), parse_prefix("0.0.0.0/0")];
    let v6 = vec![parse_prefix("2001:db8:1::1/128"), parse_prefix("2001:db8::/33")];
    let announce = |family, next_hop, prefixes| {
        Update::announce(family, ReachableRoutes { next_hop, prefixes }, attributes())
    };
    vec![
        Message::Open(open()),
        Message::KeepAlive,
        Message::Notification(Notification::with_text(code::ADMINISTRATIVE_SHUTDOWN, "drained")),
        Message::RouteRefresh(RouteRefresh::new(Family::Ipv6, RefreshKind::Begin)),
        Message::Update(announce(Family::Ipv4, v4_hop, v4.clone())),
        Message::Update(announce(Family::Ipv4, next_hop, v4.clone())),
        Message::Update(announce(Family::Ipv6, next_hop, v6.clone())),
        Message::Update(Update::withdraw(Family::Ipv4, v4)),
        Message::Update(Update::withdraw(Family::Ipv6, v6)),
        Message::Update(Update::end_of_rib(Family::Ipv4)),
        Message::Update(Update::end_of_rib(Family::Ipv6)),
    ]
}

#[test]
fn messages_come_back_as_they_were_sent() {
    for message in samples() {
        let bytes = message.encode(true).unwrap();
        assert_eq!(decode(&bytes), Ok(Some(message)));
    }
}

#[test]
fn a_stream_in_pieces_gives_all_of_its_messages() {
    let samples = samples();
    let stream: Vec<u8> = samples.iter().flat_map(|message| message.encode(true).unwrap()).collect();
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for piece in stream.chunks(7) {
        decoder.push_bytes(piece);
        while let Some(message) = decoder.next_message(true).unwrap() {
            messages.push(message);
        }
    }
    assert_eq!(messages, samples);
}

#[test]
fn bad_headers_get_the_notification_of_the_rfc() {
    let mut unmarked = raw_message(4, &[]);
    unmarked[3] = 0;
    let with_length = |number, length: u16| {
        let mut bytes = raw_message(number, &[0; 60]);
        bytes[16..18].copy_from_slice(&length.to_be_bytes());
        bytes
    };
    let length = |length: u16| Notification::with_data(code::BAD_MESSAGE_LENGTH, length.to_be_bytes());
    let cases = [
        (unmarked, Notification::new(code::CONNECTION_NOT_SYNCHRONIZED)),
        (with_length(4, 18), length(18)),
        (with_length(4, 20), length(20)),
        (with_length(1, 28), length(28)),
        (with_length(2, 22), length(22)),
        (with_length(3, 20), length(20)),
        (with_length(2, 4097), length(4097)),
        (raw_message(0, &[]), Notification::with_data(code::BAD_MESSAGE_TYPE, [0])),
        (raw_message(6, &[]), Notification::with_data(code::BAD_MESSAGE_TYPE, [6])),
        (
            raw_message(5, &[0, 1]),
            Notification::with_data(code::INVALID_REFRESH_LENGTH, raw_message(5, &[0, 1])),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(decode(&bytes), Err(expected));
    }
}

#[test]
fn bad_opens_get_the_notification_of_the_rfc() {
    let fixed = [4, 0xfd, 0xe9, 0, 90, 10, 0, 0, 1];
    let with = |parameters: &[u8]| raw_message(1, &[&fixed, parameters].concat());
    let mut version_3 = with(&[0]);
    version_3[HEADER] = 3;
    let cases = [
        (version_3, Notification::with_data(code::UNSUPPORTED_VERSION, [0, 4])),
        (with(&[3, 1, 1, 0]), Notification::new(code::UNSUPPORTED_PARAMETER)),
        (with(&[4, 2, 2, 65, 4]), Notification::new(code::OPEN_MESSAGE)),
        (with(&[9, 2, 2, 65, 0]), Notification::new(code::OPEN_MESSAGE)),
        (with(&[0, 0]), Notification::new(code::OPEN_MESSAGE)),
    ];
    for (bytes, expected) in cases {
        assert_eq!(decode(&bytes), Err(expected), "{bytes:?}");
    }
}

#[test]
fn capabilities_that_are_malformed_or_unknown_are_decoded_as_other() {
    // A 4-octet AS of three bytes, one of no known kind, and route refresh.
    let parameters = [2, 12, 65, 3, 1, 2, 3, 99, 1, 7, 2, 0, 70, 0];
    let body = [&[4, 0xfd, 0xe9, 0, 90, 10, 0, 0, 1, 14][..], &parameters].concat();
    let Ok(Some(Message::Open(open))) = decode(&raw_message(1, &body)) else { panic!("no OPEN") };
    let other = |code, value: &[u8]| Capability::Other { code, value: value.to_vec() };
    let expected =
        [other(65, &[1, 2, 3]), other(99, &[7]), Capability::RouteRefresh, Capability::EnhancedRouteRefresh];
    assert_eq!(open.capabilities, expected);
    assert_eq!(open.asn(), 65_001);
    assert!(open.can_speak(Family::Ipv4) && !open.can_speak(Family::Ipv6));
}

#[test]
fn extended_optional_parameters_are_understood() {
    let parameters = [255, 255, 0, 7, 2, 0, 4, 70, 0, 2, 0];
    let body = [&[4, 0xfd, 0xe9, 0, 90, 10, 0, 0, 1][..], &parameters].concat();
    let Ok(Some(Message::Open(open))) = decode(&raw_message(1, &body)) else { panic!("no OPEN") };
    assert_eq!(open.capabilities, [Capability::EnhancedRouteRefresh, Capability::RouteRefresh]);
}

#[test]
fn an_as_of_four_bytes_is_as_trans_in_the_open() {
    assert_eq!((open().my_as, open().asn()), (AS_TRANS, 4_200_000_001));
}

#[test]
fn peers_without_4_octet_as_get_as_trans_and_as4_path() {
    let reach = ReachableRoutes {
        next_hop: RouteNextHop::V4(Ipv4Addr::LOCALHOST),
        prefixes: vec![parse_prefix("192.0.2.0/24")],
    };
    let update = Update::announce(Family::Ipv4, reach, attributes());
    let bytes = Message::Update(update.clone()).encode(false).unwrap();
    let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(has(&[0x50, 2, 0, 6, 2, 2, 0x5b, 0xa0, 0xfd, 0xe9]), "AS_PATH of two bytes: {bytes:x?}");
    assert!(has(&[0xd0, 17, 0, 10, 2, 2, 0xfa, 0x56, 0xea, 1, 0, 0, 0xfd, 0xe9]), "AS4_PATH: {bytes:x?}");
    assert_eq!(decode_as(&bytes, false), Ok(Some(Message::Update(update))));
}

#[test]
fn no_as4_path_is_sent_if_every_as_fits_two_bytes() {
    let reach = ReachableRoutes {
        next_hop: RouteNextHop::V4(Ipv4Addr::LOCALHOST),
        prefixes: vec![parse_prefix("192.0.2.0/24")],
    };
    let short = PathAttributes { as_path: vec![65_001], ..PathAttributes::default() };
    let bytes = Message::Update(Update::announce(Family::Ipv4, reach, short)).encode(false).unwrap();
    assert!(!bytes.windows(2).any(|window| window == [0xd0, 17]));
}

#[test]
fn a_bad_attribute_is_tolerated_and_its_routes_are_counted() {
    // ORIGIN 9; then LOCAL_PREF of two bytes; NEXT_HOP; a prefix.
    let path = [&[0x40, 1, 1, 9][..], &[0x40, 5, 2, 0, 0], &[0x40, 3, 4, 192, 0, 2, 1]].concat();
    let body = [&[0, 0, 0, u8::try_from(path.len()).unwrap()][..], &path, &[24, 10, 0, 1]].concat();
    let Ok(Some(Message::Update(update))) = decode(&raw_message(2, &body)) else { panic!("no UPDATE") };
    assert!(update.malformed.is_some());
    assert_eq!(update.offered_routes(), 1);
}

#[test]
fn bad_prefixes_and_truncated_attributes_are_tolerated() {
    for body in
        [&[0, 0, 0, 0, 33, 1, 2, 3, 4][..], &[0, 1, 32, 0, 0], &[0, 0, 0, 3, 0x40, 1, 9], &[0, 0, 0, 1, 0x40]]
    {
        let Ok(Some(Message::Update(update))) = decode(&raw_message(2, body)) else { panic!("no UPDATE") };
        assert!(update.malformed.is_some(), "{body:?}");
        assert_eq!(update.end_of_rib_family(), None);
    }
}

#[test]
fn an_update_with_impossible_lengths_ends_the_session() {
    for body in [&[0, 9, 0, 0][..], &[0, 0, 0, 9, 1], &[0, 2, 0, 0, 0]] {
        assert_eq!(decode(&raw_message(2, body)), Err(Notification::new(code::MALFORMED_ATTRIBUTE_LIST)));
    }
}

#[test]
fn shutdown_messages_are_cut_between_characters_and_cleaned() {
    let long = "ä".repeat(200);
    let notification = Notification::with_text(code::ADMINISTRATIVE_SHUTDOWN, &long);
    assert_eq!(notification.text(), Some("ä".repeat(127)));
    let nasty = Notification::with_text(code::ADMINISTRATIVE_RESET, "a\x1b[31m\nb");
    assert_eq!(nasty.text().as_deref(), Some("a[31mb"));
    assert_eq!(Notification::with_data(code::ADMINISTRATIVE_SHUTDOWN, [9, b'a']).text(), None);
    assert_eq!(Notification::with_text(code::BFD_DOWN, "no").text(), None);
}

#[test]
fn a_hard_reset_contains_its_reason() {
    let reason = Notification::with_text(code::ADMINISTRATIVE_SHUTDOWN, "drained");
    let hard = reason.clone().into_hard_reset();
    assert_eq!(
        (hard.code, hard.unwrap_hard_reset(), hard.text()),
        (code::HARD_RESET, reason, Some("drained".into()))
    );
    assert_eq!(hard.to_string(), "Cease: Hard Reset (Cease: Administrative Shutdown): \"drained\"");
}

#[test]
fn every_code_has_a_name_and_a_remedy() {
    for (of, expected) in [
        (code::BAD_PEER_AS, "OPEN Message Error: Bad Peer AS"),
        (code::HOLD_TIMER_EXPIRED, "Hold Timer Expired"),
        (code::BFD_DOWN, "Cease: BFD Down"),
        ((6, 99), "Cease: unknown subcode 99"),
        ((77, 1), "Unknown Error 77/1"),
    ] {
        assert_eq!(error_name(of), expected);
        assert!(error_remedy(of).ends_with('.'));
    }
}

#[test]
fn a_message_that_would_be_too_long_is_not_encoded() {
    let communities = (0..2000).collect();
    let reach = ReachableRoutes {
        next_hop: RouteNextHop::V4(Ipv4Addr::LOCALHOST),
        prefixes: vec![parse_prefix("192.0.2.0/24")],
    };
    let update = Update::announce(Family::Ipv4, reach, PathAttributes { communities, ..attributes() });
    assert!(matches!(Message::Update(update).encode(true), Err(EncodeError::TooLong(_))));
}

fn some_attributes() -> impl Strategy<Value = PathAttributes> {
    (
        prop_oneof![Just(OriginCode::Igp), Just(OriginCode::Egp), Just(OriginCode::Incomplete)],
        collection::vec(any::<u32>(), 0..300),
        option::of(any::<u32>()),
        option::of(any::<u32>()),
        collection::btree_set(any::<u32>(), 0..100),
        collection::btree_set(any::<[u32; 3]>().prop_map(|[a, b, c]| LargeCommunity(a, b, c)), 0..50),
    )
        .prop_map(|(origin, as_path, med, local_pref, communities, large_communities)| PathAttributes {
            origin,
            as_path,
            med,
            local_pref,
            communities,
            large_communities,
        })
}

proptest! {
    #[test]
    fn all_attributes_survive_both_widths_of_as(attributes in some_attributes(), four_octet_as: bool) {
        let reach = ReachableRoutes { next_hop: RouteNextHop::V4(Ipv4Addr::LOCALHOST), prefixes: vec![parse_prefix("192.0.2.0/24")] };
        let message = Message::Update(Update::announce(Family::Ipv4, reach, attributes));
        let bytes = message.encode(four_octet_as).unwrap();
        prop_assert_eq!(decode_as(&bytes, four_octet_as), Ok(Some(message)));
    }
}
