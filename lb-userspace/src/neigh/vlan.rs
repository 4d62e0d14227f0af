//! VLAN tags of next hops. XDP transmits by the Ethernet device below VLAN
//! devices, and has to write their tags itself.

use super::{routing::Links, tag::Tag};

/// As many as the programs can write.
const MOST: usize = 2;

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
