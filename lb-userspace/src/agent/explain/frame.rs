//! The packets of a flow, built as incoming Ethernet frames.

use std::net::IpAddr;

use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep, err::packet::BuildVecWriteError, ip_number};
use lb_common::gue;

use super::flow::{Flow, FlowProtocol};

/// Which of a flow's packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PacketKind {
    /// The one that opens a TCP connection.
    Syn,
    /// Any other of a TCP connection.
    Later,
    Datagram,
    Echo,
}

impl PacketKind {
    /// The kinds that the program may treat differently.
    pub const fn all_of(protocol: FlowProtocol) -> &'static [Self] {
        match protocol {
            FlowProtocol::Tcp => &[Self::Syn, Self::Later],
            FlowProtocol::Udp => &[Self::Datagram],
            FlowProtocol::Icmp => &[Self::Echo],
        }
    }

    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syn => "a SYN",
            Self::Later => "a later packet",
            Self::Datagram => "a datagram",
            Self::Echo => "an echo request",
        }
    }
}

/// Addresses of the outer IP header of a packet that a director forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tunnel {
    pub from: IpAddr,
    /// Of the same family.
    pub to: IpAddr,
}

/// The longest IP packet for a dry run, in bytes. `BPF_PROG_TEST_RUN` takes a frame of a page, less
/// what XDP reserves of it; this leaves room for the headers of a tunnel.
pub const MAX_PACKET_LEN: u16 = 3400;

const ETH_LEN: usize = 14;
const TTL: u8 = 64;

/// A frame of `flow`, its IP packet padded with data to `len` bytes; alone,
/// or in a tunnel (GUE). Fails for a length beyond 16 bits.
pub fn build_frame(
    flow: &Flow,
    packet: PacketKind,
    len: u16,
    tunnel: Option<Tunnel>,
) -> Result<Vec<u8>, BuildVecWriteError> {
    let inner = build_packet(flow, packet, len)?;
    let bytes = match tunnel {
        None => inner,
        Some(tunnel) => encapsulate(tunnel, &inner, flow.to.is_ipv4())?,
    };
    let is_v4 = tunnel.map_or(flow.to.is_ipv4(), |tunnel| tunnel.to.is_ipv4());
    let ethertype = if is_v4 { etherparse::EtherType::IPV4 } else { etherparse::EtherType::IPV6 };
    // The programs read no more of MAC addresses than whether they are those of groups.
    let mut frame = vec![0; ETH_LEN - 2];
    frame.extend(ethertype.0.to_be_bytes());
    frame.extend(bytes);
    Ok(frame)
}

/// The IP packet.
fn build_packet(flow: &Flow, packet: PacketKind, len: u16) -> Result<Vec<u8>, BuildVecWriteError> {
    let (from, to) = (flow.client.port(), flow.to.port());
    let ip = ip_builder(flow.client.ip(), flow.to.ip());
    let mut bytes = Vec::new();
    let data = |headers: usize| vec![0; usize::from(len).saturating_sub(headers)];
    match packet {
        PacketKind::Syn | PacketKind::Later => {
            let tcp = ip.tcp(from, to, 1, u16::MAX);
            let tcp = if packet == PacketKind::Syn { tcp.syn() } else { tcp.ack(1) };
            let data = data(tcp.size(0));
            tcp.write_to_vec(&mut bytes, &data)?;
        }
        PacketKind::Datagram => {
            let udp = ip.udp(from, to);
            let data = data(udp.size(0));
            udp.write_to_vec(&mut bytes, &data)?;
        }
        PacketKind::Echo if flow.to.is_ipv4() => {
            let echo = ip.icmpv4_echo_request(1, 1);
            let data = data(echo.size(0));
            echo.write_to_vec(&mut bytes, &data)?;
        }
        PacketKind::Echo => {
            let echo = ip.icmpv6_echo_request(1, 1);
            let data = data(echo.size(0));
            echo.write_to_vec(&mut bytes, &data)?;
        }
    }
    Ok(bytes)
}

/// In GUE, as a director sends it: see `lb_common::gue`; the base header alone.
fn encapsulate(tunnel: Tunnel, inner: &[u8], is_v4: bool) -> Result<Vec<u8>, BuildVecWriteError> {
    const SOURCE_PORT: u16 = 0xc000;
    let protocol = if is_v4 { ip_number::IPV4 } else { ip_number::IPV6 };
    let payload = [&[gue::BASE_WORDS, protocol.0, 0, 0], inner].concat();
    let mut bytes = Vec::new();
    ip_builder(tunnel.from, tunnel.to).udp(SOURCE_PORT, gue::PORT).write_to_vec(&mut bytes, &payload)?;
    Ok(bytes)
}

fn ip_builder(from: IpAddr, to: IpAddr) -> PacketBuilderStep<IpHeaders> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), TTL),
        _ => PacketBuilder::ipv6(ipv6_octets(from), ipv6_octets(to), TTL),
    }
}

fn ipv6_octets(addr: IpAddr) -> [u8; 16] {
    lb_common::Addr::from(addr).bytes
}

#[cfg(test)]
mod tests {
    use etherparse::SlicedPacket;

    use super::*;

    fn flow(text: &str) -> Flow {
        text.parse().unwrap()
    }

    #[test]
    fn frames_have_the_length_and_headers_asked_for() {
        let flows = [
            flow("tcp 198.51.100.7:4242 -> 192.0.2.10:80"),
            flow("tcp [2001:db8::7]:4242 -> [2001:db8::10]:80"),
            flow("udp 198.51.100.7:4242 -> 192.0.2.10:53"),
            flow("udp [2001:db8::7]:4242 -> [2001:db8::10]:53"),
            flow("icmp 198.51.100.7 -> 192.0.2.10"),
            flow("icmp 2001:db8::7 -> 2001:db8::10"),
        ];
        for flow in flows {
            for packet in PacketKind::all_of(flow.protocol) {
                let frame = build_frame(&flow, *packet, 100, None).unwrap();
                assert_eq!(frame.len(), ETH_LEN + 100, "{flow}");
                let read = SlicedPacket::from_ethernet(&frame).unwrap();
                assert!(read.transport.is_some(), "{flow}");
                if let Some(etherparse::TransportSlice::Tcp(tcp)) = read.transport {
                    assert_eq!((tcp.source_port(), tcp.destination_port()), (4242, 80));
                    assert_eq!(
                        (tcp.syn(), tcp.ack()),
                        (*packet == PacketKind::Syn, *packet == PacketKind::Later)
                    );
                }
            }
        }
    }

    #[test]
    fn a_frame_in_a_tunnel_is_the_plain_packet_in_gue() {
        let flow = flow("tcp [2001:db8::7]:4242 -> [2001:db8::10]:80");
        let tunnel = Tunnel { from: [10, 0, 0, 1].into(), to: [10, 0, 0, 2].into() };
        let alone = build_frame(&flow, PacketKind::Syn, 0, None).unwrap();
        let frame = build_frame(&flow, PacketKind::Syn, 0, Some(tunnel)).unwrap();
        let read = SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(etherparse::TransportSlice::Udp(udp)) = read.transport else { panic!("no UDP") };
        assert_eq!(udp.destination_port(), gue::PORT);
        assert_eq!(udp.payload(), [&[0, 41, 0, 0], &alone[ETH_LEN..]].concat());
    }

    #[test]
    fn a_length_shorter_than_the_headers_gives_the_headers_alone() {
        let flow = flow("udp 198.51.100.7:4242 -> 192.0.2.10:53");
        assert_eq!(build_frame(&flow, PacketKind::Datagram, 1, None).unwrap().len(), ETH_LEN + 28);
    }
}
