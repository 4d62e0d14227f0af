//! Are all checksums of a frame right? Reads bytes, whoever made them.

use std::net::IpAddr;

use super::{
    ETH_LEN,
    checksum::{pseudo_header, sum},
};

/// Every IP and transport checksum of a frame, however deep.
pub fn checksums(frame: &[u8]) -> Result<(), String> {
    network(&frame[ETH_LEN..])
}

fn network(packet: &[u8]) -> Result<(), String> {
    match packet[0] >> 4 {
        4 => {
            let (header, rest) = packet.split_at(usize::from(packet[0] & 15) * 4);
            if sum(&[header]) != 0xffff {
                return Err(format!("IPv4 header checksum of {header:02x?}"));
            }
            let len = usize::from(u16::from_be_bytes([packet[2], packet[3]])) - header.len();
            inside(v4(&packet[12..16]), v4(&packet[16..20]), packet[9], &rest[..len])
        }
        6 => {
            let len = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
            inside(v6(&packet[8..24]), v6(&packet[24..40]), packet[6], &packet[40..40 + len])
        }
        version => Err(format!("IP version {version}")),
    }
}

fn inside(src: IpAddr, dst: IpAddr, protocol: u8, payload: &[u8]) -> Result<(), String> {
    match protocol {
        4 | 41 => network(payload),
        17 if payload[6..8] == [0, 0] && src.is_ipv4() => Ok(()),
        17 if payload[6..8] == [0, 0] => Err("UDP without checksum in IPv6".into()),
        6 | 17 => {
            let pseudo = pseudo_header(src, dst, protocol, payload.len());
            let right = sum(&[&pseudo, payload]) == 0xffff;
            right.then_some(()).ok_or_else(|| format!("transport checksum from {src} to {dst}"))
        }
        _ => Ok(()),
    }
}

fn v4(bytes: &[u8]) -> IpAddr {
    IpAddr::from(<[u8; 4]>::try_from(bytes).unwrap())
}

fn v6(bytes: &[u8]) -> IpAddr {
    IpAddr::from(<[u8; 16]>::try_from(bytes).unwrap())
}

/// It would be of little use if it found every sum right.
#[test]
fn a_wrong_bit_anywhere_is_found() {
    use super::{Ip, Payload, Transport, frame};
    let (src, dst) = (v4(&[198, 51, 100, 7]), v4(&[192, 0, 2, 10]));
    let inner = Ip::new(src, dst, Payload::Transport(Transport::udp()));
    let good = frame([0; 12], &Ip::new(src, dst, Payload::Ip(Box::new(inner))));
    assert_eq!(checksums(&good), Ok(()));
    for at in ETH_LEN + 16..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let found = std::panic::catch_unwind(|| checksums(&bad));
        assert!(!matches!(found, Ok(Ok(()))), "byte {at}");
    }
}
