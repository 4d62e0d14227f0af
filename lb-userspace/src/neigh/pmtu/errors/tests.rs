use proptest::prelude::*;

use super::*;

const MTU: u16 = 1400;

fn quoted_v4(protocol: u8, port: u16) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 5, 220, 0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    bytes.extend([0xc0, 1, (port >> 8) as u8, port as u8, 5, 200, 0, 0]);
    bytes
}

/// The checksum filled in.
fn error_v4(kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0, 0, (MTU >> 8) as u8, MTU as u8];
    message.extend(quoted);
    let mut sum: u32 = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let check = !(sum as u16);
    message[2..4].copy_from_slice(&check.to_be_bytes());
    let mut packet = vec![0x45, 0xc0, 0, 0, 0, 0, 0, 0, 61, 1, 0, 0, 10, 9, 9, 9, 10, 0, 0, 1];
    packet.extend(message);
    packet
}

fn error_v6(kind: u8, protocol: u8, port: u16) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, 0, 0, (MTU >> 8) as u8, MTU as u8];
    message.extend([0x60, 0, 0, 0, 5, 180, protocol, 64]);
    message.extend("fd00::1".parse::<Ipv6Addr>().unwrap().octets());
    message.extend("fd00::2".parse::<Ipv6Addr>().unwrap().octets());
    message.extend([0xc0, 1, (port >> 8) as u8, port as u8, 5, 180, 0, 0]);
    message
}

fn report(source: &str, target: &str) -> Option<PathMtuReport> {
    Some(PathMtuReport {
        source: source.parse().unwrap(),
        target: target.parse().unwrap(),
        mtu: u32::from(MTU),
    })
}

#[test]
fn errors_about_tunnels_are_understood() {
    for (protocol, port) in [(4, 0), (41, 0), (17, 6080)] {
        let expected = report("10.0.0.1", "10.0.0.2");
        assert_eq!(parse_v4(&error_v4(3, 4, &quoted_v4(protocol, port))), expected, "{protocol}");
        assert_eq!(parse_v6(&error_v6(2, protocol, port)), report("fd00::1", "fd00::2"), "{protocol}");
    }
}

#[test]
fn eight_bytes_beyond_the_quoted_header_are_enough_and_less_is_not_for_udp() {
    let whole = error_v4(3, 4, &quoted_v4(17, 6080));
    assert!(parse_v4(&whole).is_some());
    assert_eq!(parse_v4(&error_v4(3, 4, &quoted_v4(17, 6080)[..22])), None);
}

#[test]
fn options_before_and_within_the_quote_are_skipped() {
    let mut quoted = quoted_v4(17, 6080);
    quoted[0] = 0x46;
    quoted.splice(20..20, [1, 1, 1, 0]);
    let mut packet = error_v4(3, 4, &quoted);
    packet[0] = 0x46;
    packet.splice(20..20, [1, 1, 1, 0]);
    assert_eq!(parse_v4(&packet), report("10.0.0.1", "10.0.0.2"));
}

#[test]
fn other_packets_are_ignored() {
    let udp = quoted_v4(17, 6080);
    let mut later_fragment = udp.clone();
    later_fragment[7] = 9;
    let mut wrong = error_v4(3, 4, &udp);
    wrong[22] ^= 1;
    let v4s = [
        ("another code", error_v4(3, 3, &udp)),
        ("an echo", error_v4(8, 4, &udp)),
        ("another port", error_v4(3, 4, &quoted_v4(17, 53))),
        ("TCP", error_v4(3, 4, &quoted_v4(6, 6080))),
        ("a later fragment", error_v4(3, 4, &later_fragment)),
        ("a wrong checksum", wrong),
        ("nothing", Vec::new()),
    ];
    for (what, packet) in v4s {
        assert_eq!(parse_v4(&packet), None, "{what}");
    }
    for (what, message) in [
        ("unreachable", error_v6(1, 17, 6080)),
        ("another port", error_v6(2, 17, 53)),
        ("TCP", error_v6(2, 6, 6080)),
        ("cut", error_v6(2, 17, 6080)[..50].to_vec()),
    ] {
        assert_eq!(parse_v6(&message), None, "{what}");
    }
}

proptest! {
    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = (parse_v4(&bytes), parse_v6(&bytes));
    }

    #[test]
    fn no_change_of_an_error_causes_a_panic(at in 0usize..56, value: u8, len in 0usize..57) {
        let mut packet = error_v4(3, 4, &quoted_v4(17, 6080));
        packet[at] = value;
        packet.truncate(len);
        let mut message = error_v6(2, 17, 6080);
        message[at] = value;
        message.truncate(len);
        let _ = (parse_v4(&packet), parse_v6(&message));
    }
}
