//! The frame that a case sends.

use std::net::{Ipv4Addr, Ipv6Addr};

/// All frames have the same length, which the wrapper restores in words.
pub const LEN: usize = 80;
const ETH_LEN: usize = 14;

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
const ACK: u8 = 0x10;
const SYN: u8 = 0x02;

/// The virtual addresses of the benchmark, and one that is nobody's.
pub const VIP4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 10);
pub const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 0);

/// To whom the packets of a case go.
#[derive(Clone, Copy)]
pub enum To {
    Vip4,
    Vip6,
    Elsewhere,
}

/// The packets of a case.
#[derive(Clone, Copy)]
pub struct Traffic {
    pub to: To,
    pub protocol: u8,
    pub port: u16,
    /// 0: every packet opens a flow of its own.
    pub flows: u32,
}

impl Traffic {
    pub fn is_v6(&self) -> bool {
        matches!(self.to, To::Vip6)
    }

    /// Where the last word of the source address is.
    pub fn address_at(&self) -> u32 {
        if self.is_v6() { 34 } else { 26 }
    }

    /// Where the source port is.
    pub fn port_at(&self) -> u32 {
        (ETH_LEN + self.ip_len()) as u32
    }

    /// Where TTL or hop limit is.
    pub fn ttl_at(&self) -> u32 {
        if self.is_v6() { 21 } else { 22 }
    }

    fn ip_len(&self) -> usize {
        if self.is_v6() { 40 } else { 20 }
    }

    /// The frame, but for source address and port.
    pub fn frame(&self) -> [u8; LEN] {
        let mut frame = [0; LEN];
        frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
        let ip = &mut frame[ETH_LEN..];
        match self.to {
            To::Vip4 => self.v4(ip, VIP4),
            To::Elsewhere => self.v4(ip, ELSEWHERE),
            To::Vip6 => self.v6(ip, VIP6),
        }
        let ethertype: u16 = if self.is_v6() { 0x86dd } else { 0x0800 };
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        self.transport(&mut frame[ETH_LEN + self.ip_len()..]);
        frame
    }

    /// The checksum stays zero: no program here verifies it.
    fn v4(&self, ip: &mut [u8], to: Ipv4Addr) {
        let len = (LEN - ETH_LEN) as u16;
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&len.to_be_bytes());
        ip[6] = 0x40;
        ip[8] = 64;
        ip[9] = self.protocol;
        ip[16..20].copy_from_slice(&to.octets());
    }

    fn v6(&self, ip: &mut [u8], to: Ipv6Addr) {
        let len = (LEN - ETH_LEN - 40) as u16;
        ip[0] = 0x60;
        ip[4..6].copy_from_slice(&len.to_be_bytes());
        ip[6] = self.protocol;
        ip[7] = 64;
        ip[8..24].copy_from_slice(&CLIENT6.octets());
        ip[24..40].copy_from_slice(&to.octets());
    }

    fn transport(&self, header: &mut [u8]) {
        header[2..4].copy_from_slice(&self.port.to_be_bytes());
        if self.protocol == UDP {
            let len = header.len() as u16;
            header[4..6].copy_from_slice(&len.to_be_bytes());
        } else {
            header[12] = 5 << 4;
            header[13] = if self.flows == 0 { SYN } else { ACK };
        }
    }
}
