use proptest::prelude::*;

use super::*;

fn question(sequence: u64) -> ProbeQuestion {
    ProbeQuestion { secret: 0x0123_4567_89ab_cdef, sequence, sent: 42, is_ipip: false }
}

/// Of all bytes, with the pseudo header before them, the sum is -0.
fn is_sound(pseudo: &[u8], bytes: &[u8]) -> bool {
    checksum::fold(sum_of_words(pseudo) + sum_of_words(bytes)) == 0xffff
}

#[test]
fn an_answer_is_a_datagram_from_the_node_to_our_socket() {
    let packet = answer_packet("10.0.0.11".parse().unwrap(), "10.0.0.1:40000".parse().unwrap(), &question(7));
    let expected = [
        0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 17, 0x26, 0xa6, 10, 0, 0, 11, 10, 0, 0, 1, // IPv4
        0x17, 0xc0, 0x9c, 0x40, 0, 40, // from 6080 to 40000
    ];
    assert_eq!(packet[..26], expected);
    assert_eq!(packet[28..], question(7).encode());
    let pseudo = [10, 0, 0, 11, 10, 0, 0, 1, 0, 17, 0, 40];
    assert!(is_sound(&pseudo, &packet[20..]));
    assert!(is_sound(&[], &packet[..20]));
}

#[test]
fn an_answer_over_ipv6_is_such_a_datagram_too() {
    let (node, own): (IpAddr, IpAddr) = ("fd00::11".parse().unwrap(), "fd00::1".parse().unwrap());
    let packet = answer_packet(node, SocketAddr::new(own, 40000), &question(7));
    assert_eq!(packet[..8], [0x60, 0, 0, 0, 0, 40, 17, 64]);
    let pseudo = [&ipv6_bytes(node)[..], &ipv6_bytes(own), &[0, 0, 0, 40, 0, 0, 0, 17]].concat();
    assert!(is_sound(&pseudo, &packet[40..]));
}

#[test]
fn a_probe_is_encapsulated_as_by_the_data_path() {
    let v4 = answer_packet("10.0.0.11".parse().unwrap(), "10.0.0.1:40000".parse().unwrap(), &question(7));
    assert_eq!(in_gue(&v4)[..5], [0, 4, 0, 0, 0x45]);
    let tunnel = in_ip("10.0.0.1".parse().unwrap(), "10.0.0.11".parse().unwrap(), &v4);
    assert_eq!((tunnel.len(), tunnel[9], &tunnel[20..]), (80, 4, &v4[..]));
    let v6 = answer_packet("fd00::11".parse().unwrap(), "[fd00::1]:40000".parse().unwrap(), &question(7));
    assert_eq!(in_gue(&v6)[..5], [0, 41, 0, 0, 0x60]);
    let tunnel = in_ip("fd00::1".parse().unwrap(), "fd00::11".parse().unwrap(), &v6);
    assert_eq!((tunnel.len(), tunnel[6], &tunnel[40..]), (120, 41, &v6[..]));
}

proptest! {
    #[test]
    fn a_question_survives_the_wire(secret: u64, sequence: u64, sent: u64, is_ipip: bool) {
        let question = ProbeQuestion { secret, sequence, sent, is_ipip };
        prop_assert_eq!(ProbeQuestion::parse(&question.encode()), Some(question));
    }

    #[test]
    fn other_datagrams_are_no_questions(bytes: Vec<u8>) {
        let is_one = bytes.len() == ProbeQuestion::LEN && bytes[..4] == MAGIC && bytes[4] <= 1;
        prop_assert_eq!(ProbeQuestion::parse(&bytes).is_some(), is_one);
    }

    #[test]
    fn checksums_are_right_whatever_is_asked(node: u32, own: u32, port: u16, sequence: u64) {
        let node = std::net::Ipv4Addr::from_bits(node);
        let own = std::net::Ipv4Addr::from_bits(own);
        let packet = answer_packet(node.into(), SocketAddr::new(own.into(), port), &question(sequence));
        let pseudo = [&node.octets()[..], &own.octets(), &[0, 17, 0, 40]].concat();
        prop_assert!(is_sound(&pseudo, &packet[20..]));
        prop_assert!(is_sound(&[], &packet[..20]));
    }
}
