//! Verifies the checksums of a frame, from its bytes alone.

use std::net::IpAddr;

use super::{
    ETH_LEN,
    checksum::{pseudo_header, sum},
    gue, untagged,
};

/// Every IP and transport checksum of a frame, however deep.
pub fn verify_frame_checksums(frame: &[u8]) -> Result<(), String> {
    verify_ip_packet(&untagged(frame)[ETH_LEN..])
}

fn verify_ip_packet(packet: &[u8]) -> Result<(), String> {
    match packet[0] >> 4 {
        4 => {
            let (header, rest) = packet.split_at(usize::from(packet[0] & 15) * 4);
            if sum(&[header]) != 0xffff {
                return Err(format!("IPv4 header checksum of {header:02x?}"));
            }
            // Of a fragment, the header alone can be checked.
            if u16::from_be_bytes([packet[6], packet[7]]) & 0x3fff != 0 {
                return Ok(());
            }
            let len = usize::from(u16::from_be_bytes([packet[2], packet[3]])) - header.len();
            verify_payload(v4(&packet[12..16]), v4(&packet[16..20]), packet[9], &rest[..len])
        }
        6 => {
            let len = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
            let (protocol, payload) = skip_extensions(packet[6], &packet[40..40 + len]);
            verify_payload(v6(&packet[8..24]), v6(&packet[24..40]), protocol, payload)
        }
        version => Err(format!("IP version {version}")),
    }
}

/// What the extension headers of IPv6 lead to; nothing in a fragment.
fn skip_extensions(kind: u8, rest: &[u8]) -> (u8, &[u8]) {
    match kind {
        0 | 43 | 60 => skip_extensions(rest[0], &rest[(usize::from(rest[1]) + 1) * 8..]),
        44 if rest[2..4] == [0, 0] => skip_extensions(rest[0], &rest[8..]),
        _ => (kind, rest),
    }
}

fn verify_payload(src: IpAddr, dst: IpAddr, protocol: u8, payload: &[u8]) -> Result<(), String> {
    match protocol {
        4 | 41 => verify_ip_packet(payload),
        17 if payload[2..4] == gue::PORT.to_be_bytes() => verify_gue(payload),
        17 if payload[6..8] == [0, 0] && src.is_ipv4() => Ok(()),
        17 if payload[6..8] == [0, 0] => Err("UDP without checksum in IPv6".into()),
        1 if src.is_ipv4() => {
            let right = sum(&[payload]) == 0xffff;
            right.then_some(()).ok_or_else(|| format!("ICMP checksum from {src} to {dst}"))
        }
        6 | 17 | 58 => {
            let pseudo = pseudo_header(src, dst, protocol, payload.len());
            let right = sum(&[&pseudo, payload]) == 0xffff;
            right.then_some(()).ok_or_else(|| format!("transport checksum from {src} to {dst}"))
        }
        _ => Ok(()),
    }
}

/// UDP with its length, and without checksum; then GUE.
fn verify_gue(udp: &[u8]) -> Result<(), String> {
    if udp[4..8] != [(udp.len() >> 8) as u8, udp.len() as u8, 0, 0] {
        return Err(format!("UDP header {:02x?} of a tunnel, {} bytes", &udp[..8], udp.len()));
    }
    verify_ip_packet(&udp[12 + usize::from(udp[8] & 0x1f) * 4..])
}

fn v4(bytes: &[u8]) -> IpAddr {
    IpAddr::from(<[u8; 4]>::try_from(bytes).unwrap())
}

fn v6(bytes: &[u8]) -> IpAddr {
    IpAddr::from(<[u8; 16]>::try_from(bytes).unwrap())
}

/// Tests the verification itself.
#[test]
fn a_wrong_bit_anywhere_is_found() {
    use super::{Ip, Payload, Transport, frame};
    let (src, dst) = (v4(&[198, 51, 100, 7]), v4(&[192, 0, 2, 10]));
    let inner = Ip::new(src, dst, Payload::Transport(Transport::udp()));
    let good = frame([0; 12], &Ip::new(src, dst, Payload::Ip(Box::new(inner))));
    assert_eq!(verify_frame_checksums(&good), Ok(()));
    for at in ETH_LEN + 16..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let found = std::panic::catch_unwind(|| verify_frame_checksums(&bad));
        assert!(!matches!(found, Ok(Ok(()))), "byte {at}");
    }
}
