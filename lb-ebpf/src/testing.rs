//! What tests need: well-formed packets, a plain computation of checksums, and
//! memory around a packet that tells whether anybody looked or wrote outside.

use lb_common::Addr;
use proptest::prelude::*;

use crate::{
    cursor::Cursor,
    header::{eth, icmp, ipv4, ipv6, ports, protocol, tcp, udp},
    parse::{self, Packet, Parsed, Room},
};

/// Bytes before and behind a packet.
const AROUND: usize = 64;

/// Run `f` on the frame, and say what it returned and what became of the frame.
/// Neither may depend on the bytes around it, nor may these change.
pub fn on<T: PartialEq + std::fmt::Debug>(frame: &[u8], f: impl Fn(&Cursor) -> T) -> (T, Vec<u8>) {
    let [first, second] = [0x00, 0xff].map(|around| {
        let mut memory = vec![around; AROUND + frame.len() + AROUND];
        memory[AROUND..][..frame.len()].copy_from_slice(frame);
        let start = memory.as_mut_ptr() as usize + AROUND;
        // SAFETY: the frame's bytes, which stay until `f` is done.
        let result = f(&unsafe { Cursor::between(start, start + frame.len()) });
        assert!(memory[..AROUND].iter().all(|byte| *byte == around), "written before the packet");
        assert!(
            memory[AROUND + frame.len()..].iter().all(|byte| *byte == around),
            "written behind the packet"
        );
        (result, memory[AROUND..][..frame.len()].to_vec())
    });
    assert_eq!(first, second, "depends on what is around the packet");
    first
}

/// Parse the frame as one that came in, and run `f` on what that gives.
pub fn parsed<T>(cursor: &Cursor, f: impl FnOnce(Parsed<'_>) -> T) -> Option<T> {
    let ethertype = parse::ethertype(cursor)?;
    let mut room = Room::uninit();
    Some(f(parse::network(cursor, ethertype, eth::LEN, &mut room)))
}

/// The same, on the packet of a flow.
pub fn on_flow<T: PartialEq + std::fmt::Debug>(
    frame: &[u8],
    f: impl Fn(&Cursor, &mut Packet) -> T,
) -> (T, Vec<u8>) {
    on(frame, |cursor| {
        parsed(cursor, |parsed| match parsed {
            Parsed::Flow(packet) => f(cursor, packet),
            other => panic!("not of a flow: {other:?}"),
        })
        .expect("an Ethernet header")
    })
}

/// What is read of the packet of a flow, for a test that needs it beside other
/// bytes.
pub fn of_flow<T>(frame: &[u8], f: impl FnOnce(&Packet) -> T) -> T {
    let mut frame = frame.to_vec();
    let start = frame.as_mut_ptr() as usize;
    // SAFETY: the frame's bytes, which stay until `f` is done.
    let cursor = unsafe { Cursor::between(start, start + frame.len()) };
    let result = parsed(&cursor, |parsed| match parsed {
        Parsed::Flow(packet) => f(packet),
        other => panic!("not of a flow: {other:?}"),
    });
    result.expect("an Ethernet header")
}

/// The Internet checksum as RFC 1071 describes it: zero if the sum of `parts`,
/// a checksum among them, is right.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A TCP or UDP packet, in an Ethernet frame.
#[derive(Clone, Debug)]
pub struct Flow {
    pub src: Addr,
    pub dst: Addr,
    pub src_port: u16,
    pub dst_port: u16,
    pub protocol: u8,
    pub tos: u8,
    pub ttl: u8,
    /// Words of options of IPv4.
    pub options: u8,
    pub payload: Vec<u8>,
    pub has_checksum: bool,
}

impl Flow {
    pub fn is_v4(&self) -> bool {
        self.dst.is_v4()
    }

    pub fn l3_len(&self) -> usize {
        if self.is_v4() { ipv4::LEN + 4 * usize::from(self.options) } else { ipv6::LEN }
    }

    pub fn frame(&self) -> Vec<u8> {
        in_ethernet(self.is_v4(), &self.packet())
    }

    pub fn packet(&self) -> Vec<u8> {
        let mut l4 = if self.protocol == protocol::TCP {
            let mut header = vec![0; tcp::LEN];
            header[tcp::DATA_OFFSET] = 5 << 4;
            header[tcp::FLAGS] = tcp::ACK;
            header
        } else {
            let mut header = vec![0; udp::LEN];
            put(&mut header, udp::TOTAL_LEN, &((udp::LEN + self.payload.len()) as u16).to_be_bytes());
            header
        };
        put(&mut l4, ports::SRC, &self.src_port.to_be_bytes());
        put(&mut l4, ports::DST, &self.dst_port.to_be_bytes());
        l4.extend(&self.payload);
        if self.has_checksum {
            let at = check_at(self.protocol);
            let check = checksum(&[&pseudo(&self.src, &self.dst, self.protocol, l4.len()), &l4]);
            let is_zero = check == 0 && self.protocol == protocol::UDP;
            put(&mut l4, at, &if is_zero { 0xffff } else { check }.to_be_bytes());
        }
        ip(self, self.protocol, &l4)
    }
}

/// An error about `quoted`, sent to whoever sent that.
pub fn error(flow: &Flow, sender: &Addr, quoted: &[u8]) -> Vec<u8> {
    let mut message = vec![0; icmp::LEN];
    message[icmp::TYPE] = if flow.is_v4() { icmp::V4_UNREACHABLE } else { icmp::V6_TOO_BIG };
    message.extend(quoted);
    let outer = Flow { src: *sender, dst: flow.src, ..flow.clone() };
    let pseudo = pseudo(sender, &flow.src, protocol::ICMPV6, message.len());
    let check = checksum(&[if flow.is_v4() { &[][..] } else { &pseudo[..] }, &message]);
    put(&mut message, icmp::CHECK, &check.to_be_bytes());
    let protocol = if flow.is_v4() { protocol::ICMP } else { protocol::ICMPV6 };
    in_ethernet(flow.is_v4(), &ip(&outer, protocol, &message))
}

/// Are all checksums of an IP packet right, those of its transport included?
/// `has_checksum` says whether UDP has one.
pub fn assert_valid(packet: &[u8], has_checksum: bool) {
    let is_v4 = packet[0] >> 4 == 4;
    let (l3_len, protocol, src, dst) = if is_v4 {
        let l3_len = usize::from(packet[0] & 15) * 4;
        assert_eq!(checksum(&[&packet[..l3_len]]), 0, "the checksum of the header");
        (l3_len, packet[ipv4::PROTOCOL], v4_at(packet, ipv4::SRC), v4_at(packet, ipv4::DST))
    } else {
        (ipv6::LEN, packet[ipv6::NEXT_HEADER], v6_at(packet, ipv6::SRC), v6_at(packet, ipv6::DST))
    };
    let l4 = &packet[l3_len..];
    if protocol == protocol::UDP && !has_checksum {
        assert_eq!(l4[udp::CHECK..][..2], [0, 0], "no checksum");
        return;
    }
    let pseudo = pseudo(&src, &dst, protocol, l4.len());
    let covered = if protocol == protocol::ICMP { &[][..] } else { &pseudo[..] };
    assert_eq!(checksum(&[covered, l4]), 0, "the checksum of the transport");
}

pub fn v4_at(packet: &[u8], at: usize) -> Addr {
    Addr::v4(u32::from_ne_bytes(packet[at..][..4].try_into().expect("four bytes")))
}

pub fn v6_at(packet: &[u8], at: usize) -> Addr {
    Addr { bytes: packet[at..][..16].try_into().expect("sixteen bytes") }
}

pub fn in_ethernet(is_v4: bool, packet: &[u8]) -> Vec<u8> {
    let mut frame: Vec<u8> = (1..=12).collect();
    frame.extend(eth::of_family(is_v4).to_ne_bytes());
    frame.extend(packet);
    frame
}

pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..][..value.len()].copy_from_slice(value);
}

fn check_at(protocol: u8) -> usize {
    if protocol == protocol::TCP { tcp::CHECK } else { udp::CHECK }
}

/// What a transport's checksum covers besides (RFC 9293 section 3.1, RFC 8200
/// section 8.1).
fn pseudo(src: &Addr, dst: &Addr, protocol: u8, len: usize) -> Vec<u8> {
    let from = if dst.is_v4() { 12 } else { 0 };
    let numbers = [0, 0, (len >> 8) as u8, len as u8, 0, 0, 0, protocol];
    [&src.bytes[from..], &dst.bytes[from..], &numbers].concat()
}

fn ip(flow: &Flow, protocol: u8, l4: &[u8]) -> Vec<u8> {
    let mut header = vec![0; flow.l3_len()];
    let class = u32::from(flow.tos) << 20;
    if flow.is_v4() {
        header[ipv4::VERSION_AND_LEN] = 0x45 + flow.options;
        header[ipv4::TOS] = flow.tos;
        let len = (header.len() + l4.len()) as u16;
        put(&mut header, ipv4::TOTAL_LEN, &len.to_be_bytes());
        header[ipv4::TTL] = flow.ttl;
        header[ipv4::PROTOCOL] = protocol;
        put(&mut header, ipv4::SRC, &flow.src.bytes[12..]);
        put(&mut header, ipv4::DST, &flow.dst.bytes[12..]);
        // No operation.
        header[ipv4::LEN..].fill(1);
        let check = checksum(&[&header]);
        put(&mut header, ipv4::CHECK, &check.to_be_bytes());
    } else {
        put(&mut header, ipv6::VERSION_AND_CLASS, &(0x6000_0000 | class).to_be_bytes());
        put(&mut header, ipv6::PAYLOAD_LEN, &(l4.len() as u16).to_be_bytes());
        header[ipv6::NEXT_HEADER] = protocol;
        header[ipv6::HOP_LIMIT] = flow.ttl;
        put(&mut header, ipv6::SRC, &flow.src.bytes);
        put(&mut header, ipv6::DST, &flow.dst.bytes);
    }
    header.extend(l4);
    header
}

fn v4() -> impl Strategy<Value = Addr> {
    any::<u32>().prop_map(Addr::v4)
}

/// None that would be an IPv4 address, mapped.
fn v6() -> impl Strategy<Value = Addr> {
    any::<[u8; 15]>().prop_map(|rest| {
        let mut bytes = [0x20; 16];
        bytes[1..].copy_from_slice(&rest);
        Addr { bytes }
    })
}

/// Addresses of one family, as many as are asked for.
pub fn addresses<const N: usize>() -> impl Strategy<Value = [Addr; N]> {
    prop_oneof![proptest::collection::vec(v4(), N).boxed(), proptest::collection::vec(v6(), N).boxed(),]
        .prop_map(|addresses| addresses.try_into().expect("so many"))
}

/// Any packet of a flow between these addresses.
pub fn flow(src: Addr, dst: Addr) -> impl Strategy<Value = Flow> {
    let transport = (any::<u16>(), any::<u16>(), prop_oneof![Just(protocol::TCP), Just(protocol::UDP)]);
    let header = (any::<u8>(), 2u8.., 0u8..=10);
    let payload = proptest::collection::vec(any::<u8>(), 0..600);
    (transport, header, payload, any::<bool>()).prop_map(
        move |((src_port, dst_port, protocol), (tos, ttl, options), payload, has_checksum)| Flow {
            src,
            dst,
            src_port,
            dst_port,
            protocol,
            tos,
            ttl,
            options,
            payload,
            // Only UDP can do without.
            has_checksum: has_checksum || protocol == protocol::TCP,
        },
    )
}

/// The same between any addresses, and as many others of the family.
pub fn flows<const N: usize>() -> impl Strategy<Value = (Flow, [Addr; N])> {
    (addresses::<2>(), addresses::<N>())
        .prop_filter("one family", |(ends, others)| others.iter().all(|a| a.is_v4() == ends[0].is_v4()))
        .prop_flat_map(|([src, dst], others)| flow(src, dst).prop_map(move |flow| (flow, others)))
}
