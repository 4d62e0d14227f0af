use proptest::prelude::*;

use super::*;
use crate::hash::Random;

const OURS: Mac = [2, 0, 0, 0, 0, 1];
const THEIRS: Mac = [2, 0, 0, 0, 0, 2];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn v6(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// "Who has 192.0.2.10? Tell 192.0.2.1", as `tcpdump -xx` showed it.
const ARP: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 8, 6, // Ethernet
    0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 10,
];

/// A solicitation, with the options and a right checksum.
fn solicit(asker: Ipv6Addr, to: Ipv6Addr, target: Ipv6Addr, options: &[u8]) -> Vec<u8> {
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    message.extend(options);
    let sum = icmpv6_checksum(asker, to, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let header = [0x60, 0, 0, 0, 0, message.len() as u8, ICMPV6, HOP_LIMIT];
    let ethernet = ethernet_header([0x33, 0x33, 0xff, 0, 0, 1], THEIRS, ETH_P_IPV6);
    [&ethernet[..], &header, &asker.octets(), &to.octets(), &message].concat()
}

const OPTION: [u8; 8] = [SOURCE_LINK_LAYER, 1, 2, 0, 0, 0, 0, 9];

fn usual_solicitation() -> Vec<u8> {
    let target = v6("2001:db8::a");
    solicit(v6("fe80::1"), solicited_node_group(target), target, &OPTION)
}

fn with_byte(frame: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at] = byte;
    frame
}

#[test]
fn an_arp_request_is_a_question() {
    let expected = AddressQuestion { target: ip("192.0.2.10"), asker: ip("192.0.2.1"), mac: THEIRS };
    assert_eq!(parse_question(&ARP), Some(expected));
    // Frames are padded.
    assert_eq!(parse_question(&[&ARP[..], &[0; 18]].concat()), Some(expected));
}

#[test]
fn other_arp_is_no_question() {
    for (at, byte) in [(15, 6), (16, 9), (18, 8), (19, 16), (21, 2), (21, 0), (22, 1), (38, 224), (12, 0x81)]
    {
        assert_eq!(parse_question(&with_byte(&ARP, at, byte)), None, "{at}");
    }
    for len in 0..ARP.len() {
        assert_eq!(parse_question(&ARP[..len]), None, "cut to {len}");
    }
}

#[test]
fn an_arp_reply_contains_our_mac() {
    let answer = parse_question(&ARP).unwrap().answer_frame(OURS);
    let expected = [
        2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 6, // Ethernet
        0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 192, 0, 2, 10, 2, 0, 0, 0, 0, 2, 192, 0, 2, 1,
    ];
    assert_eq!(answer, expected);
}

#[test]
fn a_probe_for_the_address_is_answered() {
    let mut probe = ARP;
    probe[28..32].fill(0);
    let probe = parse_question(&probe).unwrap();
    assert!(probe.asker.is_unspecified() && !probe.is_claim());
    assert_eq!(probe.answer_frame(OURS)[28..], [192, 0, 2, 10, 2, 0, 0, 0, 0, 2, 0, 0, 0, 0]);

    let target = v6("2001:db8::a");
    let probe = solicit(Ipv6Addr::UNSPECIFIED, solicited_node_group(target), target, &[]);
    let answer = parse_question(&probe).unwrap().answer_frame(OURS);
    assert_eq!(answer[..6], [0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(v6_at(&answer, 14 + 24), Some(ALL_NODES));
    assert_eq!(answer[14 + 40 + 4], OVERRIDE, "and not solicited");
}

#[test]
fn a_solicitation_is_a_question_by_multicast_and_by_unicast() {
    let target = v6("2001:db8::a");
    for to in [solicited_node_group(target), target] {
        let asked = parse_question(&solicit(v6("fe80::1"), to, target, &OPTION)).unwrap();
        let mac = [2, 0, 0, 0, 0, 9];
        assert_eq!(asked, AddressQuestion { target: target.into(), asker: ip("fe80::1"), mac });
        let without = parse_question(&solicit(v6("fe80::1"), to, target, &[])).unwrap();
        assert_eq!(without, AddressQuestion { mac: THEIRS, ..asked });
        let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
        let more = solicit(v6("fe80::1"), to, target, &[nonce, OPTION].concat());
        assert_eq!(parse_question(&more), Some(asked));
    }
}

#[test]
fn invalid_solicitations_are_ignored() {
    let frame = usual_solicitation();
    assert!(parse_question(&frame).is_some());
    // Version, next header, hop limit, type, code, checksum, a bit of the target.
    for at in [14, 20, 21, 54, 55, 56, 70] {
        assert_eq!(parse_question(&with_byte(&frame, at, frame[at] ^ 0x10)), None, "byte {at}");
    }
    for len in 0..frame.len() {
        assert_eq!(parse_question(&frame[..len]), None, "cut to {len}");
    }
    let (asker, none, target) = (v6("fe80::1"), Ipv6Addr::UNSPECIFIED, v6("2001:db8::a"));
    let group = solicited_node_group(target);
    let table = [
        (solicit(asker, group, v6("ff02::1"), &[]), "a group as target"),
        (solicit(none, group, target, &OPTION), "a probe with its address"),
        (solicit(none, target, target, &[]), "a probe by unicast"),
        (
            solicit(asker, group, target, &[SOURCE_LINK_LAYER, 0, 0, 0, 0, 0, 0, 0]),
            "an option without length",
        ),
        (
            solicit(asker, group, target, &[SOURCE_LINK_LAYER, 2, 0, 0, 0, 0, 0, 0]),
            "an option that is too long",
        ),
        (solicit(asker, group, target, &[0]), "half an option"),
        (solicit(asker, group, target, &[SOURCE_LINK_LAYER, 1, 0xff, 0, 0, 0, 0, 0]), "an answer to many"),
    ];
    for (frame, why) in table {
        assert_eq!(parse_question(&frame), None, "{why}");
    }
}

#[test]
fn an_advertisement_contains_our_mac() {
    let answer = parse_question(&usual_solicitation()).unwrap().answer_frame(OURS);
    assert_eq!(answer[..14], [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x86, 0xdd]);
    assert_eq!(answer[14..22], [0x60, 0, 0, 0, 0, 32, ICMPV6, HOP_LIMIT]);
    assert_eq!(v6_at(&answer, 22), Some(v6("2001:db8::a")));
    assert_eq!(v6_at(&answer, 38), Some(v6("fe80::1")));
    assert_eq!(icmpv6_checksum(v6("2001:db8::a"), v6("fe80::1"), &answer[54..]), 0);
    assert_eq!(answer[54..56], [ADVERTISEMENT, 0]);
    assert_eq!(answer[58], SOLICITED | OVERRIDE);
    assert_eq!(v6_at(&answer, 62), Some(v6("2001:db8::a")));
    assert_eq!(answer[78..], [TARGET_LINK_LAYER, 1, 2, 0, 0, 0, 0, 1]);
}

#[test]
fn announcements_are_claims_to_everybody() {
    let [request, reply] = announcement_frames(ip("192.0.2.10"), OURS).try_into().unwrap();
    for frame in [&request, &reply] {
        assert_eq!(frame[..6], BROADCAST);
        assert_eq!((v4_at(frame, 28), v4_at(frame, 38)), (v4_at(frame, 38), v4_at(&ARP, 38)));
    }
    assert!(parse_question(&request).unwrap().is_claim());
    assert_eq!(reply[20..22], [0, 2]);

    let [advertisement] = announcement_frames(ip("2001:db8::a"), OURS).try_into().unwrap();
    assert_eq!(advertisement[..6], [0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(advertisement[58], OVERRIDE);
}

#[test]
fn solicited_node_groups_end_in_the_last_24_bits() {
    assert_eq!(solicited_node_group(v6("2001:db8::12:3456")), v6("ff02::1:ff12:3456"));
    assert_eq!(solicited_node_group(v6("2001:db8::ab12:3456")), v6("ff02::1:ff12:3456"));
}

proptest! {
    #[test]
    fn every_question_has_an_answer_to_the_asker(
        target in any::<[u8; 16]>(), asker in any::<[u8; 16]>(), mac in any::<[u8; 6]>(), is_v4 in any::<bool>(),
    ) {
        let address = |bytes: [u8; 16]| match is_v4 {
            true => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
            false => IpAddr::from(bytes),
        };
        let asked = AddressQuestion { target: address(target), asker: address(asker), mac };
        let answer = asked.answer_frame(OURS);
        prop_assert_eq!(&answer[6..12], &OURS);
        prop_assert!(asked.asker.is_unspecified() || answer[..6] == mac);
        prop_assert_eq!(parse_question(&answer), None);
    }
}

#[test]
fn a_million_broken_frames_do_no_harm() {
    let mut random = Random::new(826);
    let mut understood = 0;
    let samples = [ARP.to_vec(), usual_solicitation()];
    for number in 0..1_000_000 {
        let mut frame = samples[number % 2].clone();
        for _ in 0..random.below(4) {
            let at = random.below(frame.len() as u64) as usize;
            frame[at] = random.next() as u8;
        }
        if random.below(8) == 0 {
            frame.truncate(random.below(frame.len() as u64) as usize);
        }
        if let Some(question) = parse_question(&frame) {
            understood += 1;
            question.answer_frame(OURS);
        }
    }
    assert!((100_000..900_000).contains(&understood), "{understood}");
}
