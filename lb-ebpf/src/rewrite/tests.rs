use lb_common::{
    Addr,
    maps::{Backend, Endpoint},
};
use proptest::prelude::*;

use super::{destination::Target, *};
use crate::{
    header::{CONGESTION_EXPERIENCED, TTL, eth, icmp, ipv4, ipv6, protocol, tcp, udp},
    parse::{self, Parsed},
    testing::{Flow, assert_valid, checksum, error, flows, in_ethernet, of_flow, on, on_flow, parsed, put},
};

fn endpoint(addr: Addr, port: u16) -> Endpoint {
    Endpoint { addr, port: port.to_be(), pad: 0 }
}

/// The IP packet that a frame carries.
fn inner(frame: &[u8]) -> &[u8] {
    &frame[eth::LEN..]
}

proptest! {
    #[test]
    fn a_new_destination_keeps_checksums_valid(
        (flow, [pod]) in flows::<1>(),
        port: u16,
        client_port: u16,
    ) {
        let endpoint = endpoint(pod, port);
        let to = Target { endpoint: &endpoint, client_port: client_port.to_be() };
        let (is_done, frame) = on_flow(&flow.frame(), |cursor, packet| destination::rewrite(cursor, packet, &to));
        prop_assert!(is_done);
        assert_valid(inner(&frame), flow.has_checksum);
        if flow.protocol == protocol::UDP {
            // Zero would say that there is none.
            let check = &inner(&frame)[flow.l3_len() + udp::CHECK..][..2];
            prop_assert_eq!(check != [0, 0], flow.has_checksum);
        }
        let expected = Flow { dst: pod, dst_port: port, src_port: client_port, ..flow };
        prop_assert!(is_same_but_checks(&frame, &expected.frame(), &expected));
    }

    #[test]
    fn a_new_source_keeps_checksums_valid((flow, [source]) in flows::<1>()) {
        let (is_done, frame) =
            on_flow(&flow.frame(), |cursor, packet| source::rewrite(cursor, packet, &source));
        prop_assert!(is_done);
        assert_valid(inner(&frame), flow.has_checksum);
        if flow.protocol == protocol::UDP {
            let check = &inner(&frame)[flow.l3_len() + udp::CHECK..][..2];
            prop_assert_eq!(check != [0, 0], flow.has_checksum);
        }
        let expected = Flow { src: source, ..flow };
        prop_assert!(is_same_but_checks(&frame, &expected.frame(), &expected));
    }

    #[test]
    fn an_error_about_a_hidden_client_is_the_vips_with_checksums_valid(
        (flow, [sender]) in flows::<1>(),
    ) {
        let (is_done, frame) = on(&error(&flow, &sender, &flow.packet()), |cursor| {
            parsed(cursor, |parsed| {
                let Parsed::Icmp(packet) = parsed else { panic!("no ICMP: {parsed:?}") };
                assert!(parse::icmp::quoted(cursor, packet));
                quote::hide_client(cursor, packet)
            })
        });
        prop_assert_eq!(is_done, Some(Some(())));
        assert_valid(inner(&frame), true);
        let quoted = &inner(&frame)[flow.l3_len() + icmp::LEN..];
        assert_valid(quoted, flow.has_checksum);
        // The VIP is whom the error came to, and what is quoted came from.
        let expected = Flow { dst: flow.src, ..flow };
        let quoted = in_ethernet(expected.is_v4(), quoted);
        prop_assert!(is_same_but_checks(&quoted, &expected.frame(), &expected));
        let message = on(&frame, |cursor| {
            parsed(cursor, |parsed| parsed.packet().map(|packet| (packet.src, packet.dst.addr)))
        });
        prop_assert_eq!(message.0, Some(Some((expected.src, expected.src))));
    }

    #[test]
    fn macs_swap(macs: [u8; 12]) {
        let words = |bytes: [u8; 12]| [0, 4, 8].map(|at| u32::from_ne_bytes([0, 1, 2, 3].map(|n| bytes[at + n])));
        let (dst, src) = macs.split_at(6);
        let swapped = [src, dst].concat().try_into().expect("twelve");
        prop_assert_eq!(macs::swapped(words(macs)), words(swapped));
    }

    #[test]
    fn an_error_goes_to_the_pod_with_checksums_valid(
        (flow, [sender, pod]) in flows::<2>(),
        port: u16,
        client_port: u16,
    ) {
        let endpoint = endpoint(pod, port);
        let to = Target { endpoint: &endpoint, client_port: client_port.to_be() };
        let (is_done, frame) = on(&error(&flow, &sender, &flow.packet()), |cursor| {
            parsed(cursor, |parsed| {
                let Parsed::Icmp(packet) = parsed else { panic!("no ICMP: {parsed:?}") };
                assert!(parse::icmp::quoted(cursor, packet));
                quote::rewrite(cursor, packet, &to)
            })
        });
        prop_assert_eq!(is_done, Some(Some(())));
        assert_valid(inner(&frame), true);
        let quoted = &inner(&frame)[flow.l3_len() + icmp::LEN..];
        assert_valid(quoted, flow.has_checksum);
        let expected = Flow { src: pod, src_port: port, dst_port: client_port, ..flow };
        let quoted = in_ethernet(expected.is_v4(), quoted);
        prop_assert!(is_same_but_checks(&quoted, &expected.frame(), &expected));
    }

    #[test]
    fn a_hop_keeps_the_checksum_valid((flow, []) in flows::<0>()) {
        let (is_alive, frame) = on_flow(&flow.frame(), |cursor, packet| hop::take(cursor, packet.is_v4));
        prop_assert!(is_alive);
        assert_valid(inner(&frame), flow.has_checksum);
        let expected = Flow { ttl: flow.ttl - 1, ..flow };
        prop_assert!(is_same_but_checks(&frame, &expected.frame(), &expected));
    }

    #[test]
    fn congestion_is_marked_only_where_it_is_understood((flow, []) in flows::<0>()) {
        let (is_marked, frame) = on_flow(&flow.frame(), |cursor, packet| congestion::mark(cursor, packet));
        prop_assert_eq!(is_marked, flow.tos & CONGESTION_EXPERIENCED != 0);
        assert_valid(inner(&frame), flow.has_checksum);
        let tos = if is_marked { flow.tos | CONGESTION_EXPERIENCED } else { flow.tos };
        let expected = Flow { tos, ..flow };
        prop_assert!(is_same_but_checks(&frame, &expected.frame(), &expected));
    }

    #[test]
    fn an_echo_reply_has_valid_checksums((flow, []) in flows::<0>(), data: [u8; 30]) {
        let flow = Flow { options: 0, ..flow };
        let request = echo_request(&flow, &data);
        let (is_done, frame) = on(&request, |cursor| {
            parsed(cursor, |parsed| {
                let Parsed::Icmp(packet) = parsed else { panic!("no ICMP: {parsed:?}") };
                echo::reply(cursor, packet)
            })
        });
        prop_assert_eq!(is_done, Some(Some(())));
        assert_valid(inner(&frame), true);
        let back = Flow { src: flow.dst, dst: flow.src, ttl: TTL, ..flow.clone() };
        let kind = if flow.is_v4() { icmp::V4_ECHO_REPLY } else { icmp::V6_ECHO_REPLY };
        prop_assert_eq!(inner(&frame)[flow.l3_len()], kind);
        prop_assert_eq!(&frame[frame.len() - data.len()..], &data);
        prop_assert!(is_same_header(&frame, &back));
    }

    #[test]
    fn an_outer_header_is_valid((flow, [src, dst]) in flows::<2>(), host: u8, hash: u64) {
        let backend = Backend {
            macs: [7; 12],
            outer_src: without_host(src),
            outer_dst: dst,
            outer_sum: Backend::outer_sum(&without_host(src), &dst),
            ..Backend::default()
        };
        let is_v4 = dst.is_v4();
        let more = if is_v4 { ipv4::LEN } else { ipv6::LEN };
        let number = protocol::of_family(flow.is_v4());
        // Room before the packet, as after the head has moved.
        let mut grown = vec![0; more];
        grown.extend(flow.frame());
        let host = u32::from_ne_bytes([0, 0, 0, host]);
        let (is_done, frame) = on(&grown, |cursor| {
            let mut room = parse::Room::uninit();
            let parsed = parse::network(cursor, eth::of_family(flow.is_v4()), more + eth::LEN, &mut room);
            let Parsed::Flow(packet) = parsed else { panic!("no flow: {parsed:?}") };
            if is_v4 {
                outer::v4::<0>(cursor, packet, &backend, number, host)
            } else {
                outer::v6::<0>(cursor, packet, &backend, number, hash, host)
            }
        });
        prop_assert_eq!(is_done, Some(()));
        prop_assert_eq!(&frame[..eth::TYPE], &[7; 12]);
        prop_assert_eq!(&inner(&frame)[more..], &flow.packet()[..]);
        let header = &inner(&frame)[..more];
        if is_v4 {
            prop_assert_eq!(checksum(&[header]), 0);
            prop_assert_eq!(usize::from(u16::from_be_bytes([header[2], header[3]])), more + flow.packet().len());
            prop_assert_eq!((header[ipv4::TOS], header[ipv4::PROTOCOL]), (flow.tos, number));
        } else {
            prop_assert_eq!(usize::from(u16::from_be_bytes([header[4], header[5]])), flow.packet().len());
            prop_assert_eq!((header[0] << 4 | header[1] >> 4, header[ipv6::NEXT_HEADER]), (flow.tos, number));
        }
    }

    #[test]
    fn a_client_is_told_with_valid_checksums((flow, []) in flows::<0>(), mtu in 576u16..9000, is_back: bool) {
        let flow = Flow { payload: vec![9; too_big::QUOTE], options: 0, ..flow };
        let more = too_big::more(flow.is_v4());
        let mut reshaped = vec![0; more];
        reshaped.extend(&flow.frame()[..eth::LEN + too_big::QUOTE]);
        // What was read of the packet while it was whole.
        let (is_done, frame) = of_flow(&flow.frame(), |packet| {
            on(&reshaped, |cursor| too_big::write(cursor, packet, mtu, is_back))
        });
        prop_assert_eq!(is_done, Some(()));
        assert_valid(inner(&frame), true);
        prop_assert_eq!(&inner(&frame)[more..], &flow.packet()[..too_big::QUOTE]);
        let old = flow.frame();
        let (dst, src) = old[..eth::TYPE].split_at(6);
        let macs = if is_back { [src, dst].concat() } else { [dst, src].concat() };
        prop_assert_eq!(&frame[..eth::TYPE], &macs[..]);
        let back = Flow { src: flow.dst, dst: flow.src, ttl: TTL, tos: 0xc0, ..flow };
        prop_assert!(is_same_header(&frame, &back));
    }
}

/// The part of an address that is the flow's must be zero.
fn without_host(addr: Addr) -> Addr {
    let mut bytes = addr.bytes;
    bytes[15] = 0;
    Addr { bytes }
}

fn echo_request(flow: &Flow, data: &[u8]) -> Vec<u8> {
    let mut frame = error(&Flow { src: flow.dst, ..flow.clone() }, &flow.src, data);
    let at = eth::LEN + flow.l3_len();
    // Another type, and so another checksum.
    let old = frame[at + icmp::TYPE];
    let new = if flow.is_v4() { icmp::V4_ECHO } else { icmp::V6_ECHO };
    frame[at + icmp::TYPE] = new;
    let check = u16::from_be_bytes([frame[at + icmp::CHECK], frame[at + icmp::CHECK + 1]]);
    let words = [!check, !(u16::from(old) << 8), u16::from(new) << 8].map(u16::to_be_bytes);
    put(&mut frame, at + icmp::CHECK, &checksum(&[&words[0], &words[1], &words[2]]).to_be_bytes());
    frame
}

/// Are the addresses and the TTL in the IP header those of `flow`?
fn is_same_header(frame: &[u8], flow: &Flow) -> bool {
    let (ttl, src, dst) = if flow.is_v4() {
        (ipv4::TTL, ipv4::SRC, ipv4::DST)
    } else {
        (ipv6::HOP_LIMIT, ipv6::SRC, ipv6::DST)
    };
    let from = if flow.is_v4() { 12 } else { 0 };
    let packet = inner(frame);
    packet[ttl] == flow.ttl
        && packet[src..].starts_with(&flow.src.bytes[from..])
        && packet[dst..].starts_with(&flow.dst.bytes[from..])
}

/// One's complement has two zeros, so a checksum that was updated may be the
/// other one of those that are right: all but checksums must be equal.
fn is_same_but_checks(frame: &[u8], expected: &[u8], flow: &Flow) -> bool {
    let transport = eth::LEN + flow.l3_len();
    let check = if flow.protocol == protocol::TCP { tcp::CHECK } else { udp::CHECK };
    let blank = |frame: &[u8]| {
        let mut frame = frame.to_vec();
        put(&mut frame, transport + check, &[0, 0]);
        if flow.is_v4() {
            put(&mut frame, eth::LEN + ipv4::CHECK, &[0, 0]);
        }
        frame
    };
    blank(frame) == blank(expected)
}
