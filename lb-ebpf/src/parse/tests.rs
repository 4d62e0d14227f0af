use lb_common::{Addr, Verdict};
use proptest::prelude::*;

use super::*;
use crate::{
    header::{ipv4, ipv6, protocol, tcp},
    testing::{Flow, error, flows, on, on_flow, parsed, put},
};

/// All that the parser says of a frame; also of what an error quotes.
fn said(cursor: &Cursor) -> Option<String> {
    parsed(cursor, |parsed| match parsed {
        Parsed::Icmp(packet) => {
            let is_quoted = icmp::quoted(cursor, packet);
            let len = if is_quoted { icmp::quoted_header_len(cursor, packet) } else { 0 };
            format!("{:?} {is_quoted} {len} {packet:?}", icmp::message(cursor, packet))
        }
        Parsed::Flow(packet) => format!("{:?} {packet:?}", l4::tcp_flags(cursor, packet)),
        other => format!("{other:?}"),
    })
}

/// Nothing that is parsed changes, and nothing outside is read.
fn reads_only_what_is_there(frame: &[u8]) {
    let (_, after) = on(frame, said);
    assert_eq!(frame, after);
}

proptest! {
    #[test]
    fn any_bytes_can_be_parsed(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        reads_only_what_is_there(&bytes);
    }

    #[test]
    fn any_ip_header_can_be_parsed(
        mut bytes in proptest::collection::vec(any::<u8>(), eth::LEN + 1..200),
        is_v4: bool,
        low: u8,
    ) {
        put(&mut bytes, eth::TYPE, &eth::of_family(is_v4).to_ne_bytes());
        bytes[eth::LEN] = if is_v4 { 0x40 } else { 0x60 } | low & 15;
        reads_only_what_is_there(&bytes);
    }

    #[test]
    fn packets_that_were_cut_or_changed_can_be_parsed(
        (flow, [sender]) in flows::<1>(),
        is_error: bool,
        cut: prop::sample::Index,
        changes in proptest::collection::vec((0usize..120, any::<u8>()), 0..4),
    ) {
        let mut frame = if is_error { error(&flow, &sender, &flow.packet()) } else { flow.frame() };
        frame.truncate(cut.index(frame.len() + 1));
        for (at, value) in changes {
            if let Some(byte) = frame.get_mut(at) {
                *byte = value;
            }
        }
        reads_only_what_is_there(&frame);
    }

    #[test]
    fn a_packet_has_the_fields_of_its_headers((flow, []) in flows::<0>()) {
        let (_, after) = on_flow(&flow.frame(), |_, packet| has_fields_of(packet, &flow));
        prop_assert_eq!(after, flow.frame());
    }

    #[test]
    fn a_packet_may_be_padded_but_not_cut_short((flow, []) in flows::<0>(), padding in 1usize..20) {
        let mut frame = flow.frame();
        let len = frame.len();
        frame.resize(len + padding, 0);
        on_flow(&frame, |_, packet| has_fields_of(packet, &flow));
        let (is_cut, _) = on(&frame[..len - 1], |cursor| {
            parsed(cursor, |parsed| matches!(parsed, Parsed::Unfit(_, Verdict::DropTruncated)))
        });
        prop_assert_eq!(is_cut, Some(true));
    }

    #[test]
    fn an_error_is_of_the_flow_that_it_quotes((flow, [sender]) in flows::<1>()) {
        let frame = error(&flow, &sender, &flow.packet());
        on(&frame, |cursor| {
            parsed(cursor, |parsed| {
                let Parsed::Icmp(packet) = parsed else { panic!("no ICMP: {parsed:?}") };
                assert!(matches!(icmp::message(cursor, packet), icmp::Message::Error));
                assert!(icmp::quoted(cursor, packet));
                // A request of the flow, of which a reply is quoted.
                assert_eq!((packet.src, packet.src_port), (flow.dst, flow.dst_port.to_be()));
                assert_eq!((packet.dst.addr, packet.dst.port), (flow.src, flow.src_port.to_be()));
                assert_eq!(packet.dst.protocol, flow.protocol);
            })
        });
    }

    #[test]
    fn a_syn_has_a_sequence_number((flow, []) in flows::<0>(), flags: u8, sequence: u32) {
        prop_assume!(flow.protocol == protocol::TCP);
        let mut frame = flow.frame();
        let at = eth::LEN + flow.l3_len();
        put(&mut frame, at + tcp::FLAGS, &[flags]);
        put(&mut frame, at + tcp::SEQUENCE, &sequence.to_be_bytes());
        let (read, _) = on_flow(&frame, |cursor, packet| l4::syn_sequence(cursor, packet));
        prop_assert_eq!(read, (flags & (tcp::SYN | tcp::ACK) == tcp::SYN).then_some(sequence));
    }

    #[test]
    fn mapped_addresses_are_none_of_ours((flow, []) in flows::<0>(), mapped: u32) {
        prop_assume!(!flow.is_v4());
        for at in [ipv6::SRC, ipv6::DST] {
            let mut frame = flow.frame();
            put(&mut frame, eth::LEN + at, &Addr::v4(mapped).bytes);
            let (is_ip, _) = on(&frame, |c| parsed(c, |parsed| !matches!(parsed, Parsed::NotIp)));
            prop_assert_eq!(is_ip, Some(false));
        }
    }

    #[test]
    fn a_later_fragment_has_no_ports((flow, []) in flows::<0>(), offset in 1u16..0x2000, id: u16) {
        prop_assume!(flow.is_v4() && !flow.payload.is_empty());
        let mut frame = flow.frame();
        put(&mut frame, eth::LEN + ipv4::FRAGMENT, &offset.to_be_bytes());
        put(&mut frame, eth::LEN + ipv4::ID, &id.to_be_bytes());
        on(&frame, |cursor| {
            parsed(cursor, |parsed| {
                let Parsed::Fragment(packet) = parsed else { panic!("no fragment: {parsed:?}") };
                assert!(packet.is_later_fragment());
                assert_eq!((packet.src_port, packet.dst.port), (0, 0));
                assert_eq!(packet.id, u32::from(id.to_be()));
            })
        });
    }
}

fn has_fields_of(packet: &Packet, flow: &Flow) {
    assert_eq!((packet.src, packet.src_port), (flow.src, flow.src_port.to_be()));
    assert_eq!((packet.dst.addr, packet.dst.port), (flow.dst, flow.dst_port.to_be()));
    assert_eq!((packet.dst.protocol, packet.is_v4, packet.tos), (flow.protocol, flow.is_v4(), flow.tos));
    assert_eq!((packet.l3, packet.l3_len), (eth::LEN, flow.l3_len()));
    assert_eq!(usize::from(packet.len), flow.packet().len());
    assert_eq!((packet.fragment, packet.id, packet.quote), (Fragment::None, 0, 0));
}

#[test]
fn other_protocols_are_unfit() {
    let ends = [1u32, 2].map(|last| Addr::v4(last.to_be()));
    let flow = Flow {
        src: ends[0],
        dst: ends[1],
        src_port: 1,
        dst_port: 2,
        protocol: protocol::UDP,
        tos: 0,
        ttl: 64,
        options: 0,
        payload: vec![],
        has_checksum: true,
    };
    let mut frame = flow.frame();
    frame[eth::LEN + ipv4::PROTOCOL] = 132;
    let (why, _) = on(&frame, |cursor| {
        parsed(cursor, |parsed| match parsed {
            Parsed::Unfit(_, why) => Some(why),
            _ => None,
        })
    });
    assert_eq!(why.flatten(), Some(Verdict::DropOtherProtocol));
}

#[test]
fn an_answer_acknowledges_a_syn_and_what_data_it_had() {
    for (sequence, acknowledgment, is_answer) in [
        (7, 8, true),
        (7, 1408, true),
        (7, 8 + 65_535, true),
        (7, 8 + 65_536, false),
        (7, 7, false),
        (7, 0, false),
        (u32::MAX, 0, true),
        (u32::MAX, 65_535, true),
        (u32::MAX, u32::MAX, false),
    ] {
        assert_eq!(l4::acknowledges(acknowledgment, sequence), is_answer, "{acknowledgment} to {sequence}");
    }
}
