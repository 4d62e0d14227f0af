//! TCP (RFC 9293) and UDP (RFC 768).

use std::net::IpAddr;

use super::checksum::{pseudo_header, sum};

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

/// The sequence number of segments that are given no other one.
pub const SEQUENCE: u32 = 0x0123_4567;
const ACKNOWLEDGMENT: u32 = 0x89ab_cdef;

/// A segment or a datagram.
#[derive(Clone, Debug)]
pub struct Transport {
    pub src_port: u16,
    pub dst_port: u16,
    kind: TransportKind,
    /// Of a TCP segment, a multiple of four bytes.
    pub options: Vec<u8>,
    pub data: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum TransportKind {
    Tcp(Tcp),
    Udp(Udp),
}

#[derive(Clone, Copy, Debug)]
struct Tcp {
    flags: u8,
    sequence: u32,
    acknowledgment: u32,
}

#[derive(Clone, Copy, Debug)]
struct Udp {
    /// False: a checksum of zero, which says that there is none.
    has_checksum: bool,
}

impl Transport {
    pub fn tcp(flags: u8) -> Self {
        let tcp = Tcp { flags, sequence: SEQUENCE, acknowledgment: ACKNOWLEDGMENT };
        Self::new(TransportKind::Tcp(tcp), b"GET / HTTP/1.1")
    }

    pub fn udp() -> Self {
        Self::new(TransportKind::Udp(Udp { has_checksum: true }), b"a question")
    }

    fn new(kind: TransportKind, data: &[u8]) -> Self {
        Self { src_port: 0, dst_port: 0, kind, options: Vec::new(), data: data.to_vec() }
    }

    pub fn with_ports(self, src_port: u16, dst_port: u16) -> Self {
        Self { src_port, dst_port, ..self }
    }

    /// Of a UDP datagram.
    pub fn remove_checksum(&mut self) {
        assert!(matches!(self.kind, TransportKind::Udp(_)), "no UDP datagram: {self:?}");
        self.kind = TransportKind::Udp(Udp { has_checksum: false });
    }

    /// Of a TCP segment.
    pub fn set_tcp_flags(&mut self, flags: u8) {
        self.tcp_fields().flags = flags;
    }

    /// The same.
    pub fn set_tcp_numbers(&mut self, sequence: u32, acknowledgment: u32) {
        let tcp = self.tcp_fields();
        (tcp.sequence, tcp.acknowledgment) = (sequence, acknowledgment);
    }

    fn tcp_fields(&mut self) -> &mut Tcp {
        match &mut self.kind {
            TransportKind::Tcp(tcp) => tcp,
            TransportKind::Udp(_) => panic!("no TCP segment"),
        }
    }

    pub fn protocol(&self) -> u8 {
        match self.kind {
            TransportKind::Tcp(_) => 6,
            TransportKind::Udp(_) => 17,
        }
    }

    pub fn bytes(&self, src: IpAddr, dst: IpAddr) -> Vec<u8> {
        let (mut bytes, check_at) = match self.kind {
            TransportKind::Tcp(tcp) => (self.tcp_header(tcp), 16),
            TransportKind::Udp(_) => (self.udp_header(), 6),
        };
        bytes.extend(&self.data);
        let pseudo = pseudo_header(src, dst, self.protocol(), bytes.len());
        let check = match (self.kind, !sum(&[&pseudo, &bytes])) {
            (TransportKind::Udp(Udp { has_checksum: false }), _) => 0,
            (TransportKind::Udp(_), 0) => 0xffff,
            (_, check) => check,
        };
        bytes[check_at..check_at + 2].copy_from_slice(&check.to_be_bytes());
        bytes
    }

    fn ports(&self) -> Vec<u8> {
        [self.src_port.to_be_bytes(), self.dst_port.to_be_bytes()].concat()
    }

    fn tcp_header(&self, tcp: Tcp) -> Vec<u8> {
        let mut header = self.ports();
        header.extend(tcp.sequence.to_be_bytes());
        header.extend(tcp.acknowledgment.to_be_bytes());
        let words = (20 + self.options.len()) / 4;
        header.extend([(words << 4) as u8, tcp.flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        header.extend(&self.options);
        header
    }

    fn udp_header(&self) -> Vec<u8> {
        let mut header = self.ports();
        header.extend((8 + self.data.len() as u16).to_be_bytes());
        header.extend([0, 0]);
        header
    }
}
