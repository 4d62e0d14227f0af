//! Generic UDP Encapsulation (draft-ietf-intarea-gue-09), variant 0.

use super::{Ip, Payload};

pub const PORT: u16 = 6080;

/// An IP packet within UDP, and what stands between the two headers.
#[derive(Clone, Debug)]
pub struct Gue {
    pub src_port: u16,
    /// Version, C-bit and header length; header length is filled in.
    pub variant: u8,
    /// What the header says is inside.
    pub protocol: u8,
    pub flags: u16,
    /// Whole words.
    pub private: Vec<u8>,
    pub inner: Ip,
}

impl Gue {
    pub fn new(src_port: u16, private: &[u8], inner: &Ip) -> Self {
        let protocol = if inner.is_v4() { 4 } else { 41 };
        Self { src_port, variant: 0, protocol, flags: 0, private: private.to_vec(), inner: inner.clone() }
    }

    /// With a UDP checksum of zero, which says that there is none: RFC 6935
    /// allows that of tunnels in IPv6 too.
    pub fn payload(&self) -> Payload {
        let inner = self.inner.bytes();
        let len = 8 + 4 + self.private.len() + inner.len();
        let mut bytes = [self.src_port.to_be_bytes(), PORT.to_be_bytes()].concat();
        bytes.extend((len as u16).to_be_bytes());
        bytes.extend([0, 0, self.variant | (self.private.len() / 4) as u8, self.protocol]);
        bytes.extend(self.flags.to_be_bytes());
        bytes.extend(&self.private);
        bytes.extend(inner);
        Payload::Other { protocol: 17, bytes }
    }
}
