//! ICMP (RFC 792) and ICMPv6 (RFC 4443).

use std::net::IpAddr;

use super::{
    Ip,
    checksum::{pseudo_header, sum},
};

pub const V4: u8 = 1;
pub const V6: u8 = 58;

/// A message.
#[derive(Clone, Debug)]
pub struct Icmp {
    /// [`V4`] or [`V6`].
    pub protocol: u8,
    pub kind: u8,
    pub code: u8,
    /// The second word of the header.
    pub rest: u32,
    pub data: Vec<u8>,
}

impl Icmp {
    pub fn echo(protocol: u8, kind: u8, rest: u32, data: &[u8]) -> Self {
        Self { protocol, kind, code: 0, rest, data: data.to_vec() }
    }

    /// An error about a packet, which it quotes from its first byte to `len`.
    pub fn error(kind: u8, code: u8, rest: u32, about: &Ip, len: usize) -> Self {
        let protocol = if about.is_v4() { V4 } else { V6 };
        let mut data = about.bytes();
        data.truncate(len);
        Self { protocol, kind, code, rest, data }
    }

    pub fn bytes(&self, src: IpAddr, dst: IpAddr) -> Vec<u8> {
        let mut bytes = vec![self.kind, self.code, 0, 0];
        bytes.extend(self.rest.to_be_bytes());
        bytes.extend(&self.data);
        let pseudo = match self.protocol {
            V4 => Vec::new(),
            _ => pseudo_header(src, dst, V6, bytes.len()),
        };
        let check = !sum(&[&pseudo, &bytes]);
        bytes[2..4].copy_from_slice(&check.to_be_bytes());
        bytes
    }
}
