//! VLAN tags of next hops. XDP transmits by the Ethernet device below VLAN
//! devices, and has to write their tags itself.

use std::fmt;

use serde::{Serialize, Serializer};

use super::assemble::Links;

/// As many as the programs can write.
const MOST: usize = 2;

/// A VLAN tag, of priority 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    /// The type of frames that have it: 0x8100 (802.1Q) or 0x88a8 (802.1ad).
    pub kind: u16,
    /// 1 to 4094.
    pub id: u16,
}

impl Tag {
    /// As `BACKENDS` has it: type and control information as they stand in a frame.
    pub fn word(self) -> u32 {
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

/// What makes a link a VLAN device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vlan {
    /// Index of the link below; None: it is in another network namespace.
    pub below: Option<u32>,
    pub tag: Tag,
}

/// The Ethernet device below a link, and the tags of what leaves through it,
/// outermost first. An error says why there is none.
pub fn resolve(ifindex: u32, links: &Links) -> Result<(u32, Vec<Tag>), String> {
    let (mut ifindex, mut tags) = (ifindex, Vec::new());
    while let Some(link) = links.get(&ifindex)
        && let Some(vlan) = link.vlan
    {
        let Some(below) = vlan.below else {
            return Err(format!("the device below {} is in another network namespace", link.name));
        };
        tags.insert(0, vlan.tag);
        if tags.len() > MOST {
            return Err(format!("{} has more than {MOST} VLAN tags", link.name));
        }
        ifindex = below;
    }
    Ok((ifindex, tags))
}

#[cfg(test)]
mod tests;
