//! Packets that are none of our business, of all kinds: fragments, options,
//! extension headers, tags, and what is not IP at all. They pass untouched;
//! to a VIP, the same packets are dropped for a reason.

use lb_common::Verdict::{
    self, DropFragment, DropIcmp, DropNoSuchPort, DropOptions, DropOtherProtocol, DropTruncated, Pass,
};

use crate::{
    case::{Case, arrives, check_all},
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE},
    packet::{Ip, Payload, Transport, ethernet, frame},
    world::{ARRIVING, CLIENT, FAMILIES, Family, Host, NODE, STRANGER, VIP, pod},
};

/// A frame, and its verdict if it is for a VIP.
pub struct BystanderRow {
    pub name: String,
    pub frame: Vec<u8>,
    pub to_vip: Verdict,
}

impl BystanderRow {
    fn new(name: impl Into<String>, frame: Vec<u8>, to_vip: Verdict) -> Self {
        Self { name: name.into(), frame, to_vip }
    }
}

/// All kinds of frames to a host.
pub fn table(to: Host) -> Vec<BystanderRow> {
    let mut rows = link_rows(to);
    rows.extend(FAMILIES.into_iter().flat_map(|family| family_rows(to, family)));
    rows.extend(v4_rows(to));
    rows.extend(v6_rows(to));
    rows
}

/// Frames whose type is not IP, and tags.
fn link_rows(to: Host) -> Vec<BystanderRow> {
    let ip = datagram(to, Family::V4).bytes();
    let arp = [&[0, 1, 8, 0, 6, 4, 0, 1][..], &[0; 20]].concat();
    let tagged = |outer: u16| ethernet(ARRIVING, outer, &[&[0, 42, 8, 0][..], &ip].concat());
    let doubly = ethernet(ARRIVING, 0x88a8, &[&[0, 42, 0x81, 0, 0, 7, 8, 0][..], &ip].concat());
    let mut rows = vec![
        BystanderRow::new("ARP", ethernet(ARRIVING, 0x0806, &arp), Pass),
        BystanderRow::new("a VLAN tag", tagged(0x8100), DropNoSuchPort),
        BystanderRow::new("a service tag", tagged(0x88a8), DropNoSuchPort),
        BystanderRow::new("two tags", doubly, DropNoSuchPort),
        BystanderRow::new("next to nothing", ethernet(ARRIVING, 0x0800, &[0]), Pass),
    ];
    rows.extend([0x0000, 0x002e, 0x0008, 0x88cc, 0x8847, 0xdd86, 0xffff].map(|ethertype| {
        BystanderRow::new(format!("type {ethertype:#06x}"), ethernet(ARRIVING, ethertype, &ip), Pass)
    }));
    rows
}

fn family_rows(to: Host, family: Family) -> Vec<BystanderRow> {
    let good = frame(ARRIVING, &datagram(to, family));
    let with_byte = |at: usize, value| {
        let mut frame = good.clone();
        frame[at] = value;
        frame
    };
    let row =
        |name: &str, frame, verdict| BystanderRow::new(format!("{name} over {family:?}"), frame, verdict);
    let mut rows = vec![
        row("UDP", good.clone(), DropNoSuchPort),
        row("TCP", frame(ARRIVING, &segment(to, family)), DropNoSuchPort),
        row("a header of version 0", with_byte(14, 0x05), Pass),
        row("a header of version 15", with_byte(14, 0xf5), Pass),
    ];
    let protocols =
        [("ICMP", 1), ("IGMP", 2), ("GRE", 47), ("ESP", 50), ("AH", 51), ("ICMPv6", 58), ("SCTP", 132)];
    rows.extend(protocols.map(|(name, protocol)| {
        let ip = with_protocol(datagram(to, family), protocol, vec![42; 64]);
        let is_icmp = [(Family::V4, 1), (Family::V6, 58)].contains(&(family, protocol));
        row(name, frame(ARRIVING, &ip), if is_icmp { DropIcmp } else { DropOtherProtocol })
    }));
    rows.extend([0, 7].map(|len| {
        let ip = with_protocol(datagram(to, family), 17, vec![8; len]);
        row(&format!("{len} bytes of UDP"), frame(ARRIVING, &ip), DropTruncated)
    }));
    rows
}

fn v4_rows(to: Host) -> Vec<BystanderRow> {
    let ip = datagram(to, Family::V4);
    let fragment = |fragment| frame(ARRIVING, &Ip { fragment, ..ip.clone() });
    let mut shorter = frame(ARRIVING, &ip);
    shorter[14] = 0x44;
    vec![
        BystanderRow::new("a first fragment", fragment(0x2000), DropNoSuchPort),
        BystanderRow::new("a middle fragment", fragment(0x20b9), DropFragment),
        BystanderRow::new("a last fragment", fragment(0x0172), DropFragment),
        BystanderRow::new("the reserved flag", fragment(0x8000), DropNoSuchPort),
        BystanderRow::new(
            "options",
            frame(ARRIVING, &Ip { options: vec![0x94, 4, 0, 0], ..ip.clone() }),
            DropNoSuchPort,
        ),
        BystanderRow::new(
            "all options",
            frame(ARRIVING, &Ip { options: vec![1; 40], ..ip.clone() }),
            DropNoSuchPort,
        ),
        BystanderRow::new("a header too short to be one", shorter, DropTruncated),
        BystanderRow::new("IPv4 that says it is IPv6", ethernet(ARRIVING, 0x86dd, &ip.bytes()), Pass),
    ]
}

fn v6_rows(to: Host) -> Vec<BystanderRow> {
    let ip = datagram(to, Family::V6);
    let udp = ip.bytes()[40..].to_vec();
    let with_extension = |kind, extension: &[u8]| {
        let bytes = [extension, &udp].concat();
        frame(ARRIVING, &with_protocol(ip.clone(), kind, bytes))
    };
    let options = [17, 0, 1, 4, 0, 0, 0, 0];
    let routing = [17, 0, 4, 0, 0, 0, 0, 0];
    let with_segments_left = [17, 0, 4, 1, 0, 0, 0, 0];
    let more_options = [60, 0, 1, 4, 0, 0, 0, 0].repeat(4);
    let long_options = [&[17, 32, 1, 254][..], &[0; 260]].concat();
    let beyond_the_end = [17, 9, 1, 4, 0, 0, 0, 0];
    let whole = [17, 0, 0, 0, 0, 0, 0, 9];
    let fragment = [17, 0, 0, 1, 0, 0, 0, 9];
    let later_fragment = [17, 0, 0x05, 0xa8, 0, 0, 0, 9];
    vec![
        BystanderRow::new("hop-by-hop options", with_extension(0, &options), DropNoSuchPort),
        BystanderRow::new("a routing header", with_extension(43, &routing), DropNoSuchPort),
        BystanderRow::new(
            "a routing header with a segment left",
            with_extension(43, &with_segments_left),
            DropOptions,
        ),
        BystanderRow::new("destination options", with_extension(60, &options), DropNoSuchPort),
        BystanderRow::new(
            "five headers",
            with_extension(60, &[&more_options[..], &options].concat()),
            DropOptions,
        ),
        BystanderRow::new("options of 264 bytes", with_extension(60, &long_options), DropOptions),
        BystanderRow::new("options beyond the end", with_extension(60, &beyond_the_end), DropTruncated),
        BystanderRow::new("a first fragment in IPv6", with_extension(44, &fragment), DropNoSuchPort),
        BystanderRow::new("a fragment that is the whole", with_extension(44, &whole), DropNoSuchPort),
        BystanderRow::new("a last fragment in IPv6", with_extension(44, &later_fragment), DropFragment),
        BystanderRow::new("mobility", with_extension(135, &options), DropOtherProtocol),
        BystanderRow::new("no next header", with_extension(59, &[]), DropOtherProtocol),
        BystanderRow::new("IPv6 that says it is IPv4", ethernet(ARRIVING, 0x0800, &ip.bytes()), Pass),
    ]
}

fn datagram(to: Host, family: Family) -> Ip {
    packet_to(to, family, Transport::udp())
}

fn segment(to: Host, family: Family) -> Ip {
    packet_to(to, family, Transport::tcp(0x18))
}

/// To a port that no service has.
fn packet_to(to: Host, family: Family, transport: Transport) -> Ip {
    Ip::new(CLIENT.ip(family), to.ip(family), Payload::Transport(transport.with_ports(53, 33_434)))
}

fn with_protocol(ip: Ip, protocol: u8, bytes: Vec<u8>) -> Ip {
    Ip { payload: Payload::Other { protocol, bytes }, ..ip }
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for setup in [AS_DIRECTOR, AS_NODE, AS_BOTH] {
        for (whom, host) in [("a stranger", STRANGER), ("this machine", NODE), ("a Pod", pod(1))] {
            cases.extend(table(host).into_iter().map(|row| {
                let name = format!("{} to {whom} on {setup}", row.name);
                arrives(name, setup, row.frame).untouched(Pass)
            }));
        }
        for row in table(VIP) {
            let given = arrives(format!("{} to a VIP on {setup}", row.name), setup, row.frame);
            cases.push(if row.to_vip == Pass { given.untouched(Pass) } else { given.dropped(row.to_vip) });
        }
    }
    cases
}

#[test]
fn what_is_not_ours_passes_untouched() {
    check_all(&cases());
}
