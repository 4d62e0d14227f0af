//! VLAN tags.

use std::fmt;

use serde::{Serialize, Serializer};

/// A VLAN tag, of priority 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    /// EtherType of tagged frames: 0x8100 (802.1Q) or 0x88a8 (802.1ad).
    pub kind: u16,
    /// 1 to 4094.
    pub id: u16,
}

impl Tag {
    /// The value for `BACKENDS`: EtherType and tag control information, in network byte order.
    pub fn wire_word(self) -> u32 {
        let [[a, b], [c, d]] = [self.kind.to_be_bytes(), self.id.to_be_bytes()];
        u32::from_ne_bytes([a, b, c, d])
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.kind == 0x8100 { "802.1Q" } else { "802.1ad" };
        write!(f, "{name} {}", self.id)
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// The properties of a VLAN device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vlan {
    /// Index of the link below; None: it is in another network namespace.
    pub below: Option<u32>,
    pub tag: Tag,
}
