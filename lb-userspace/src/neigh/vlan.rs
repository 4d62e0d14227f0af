//! VLAN tags of next hops. XDP transmits by the Ethernet device below the VLAN
//! devices, so our programs have to write the tags themselves.

use super::{routing::Links, tag::Tag};

/// The number of tags that the programs can write.
const MAX_TAGS: usize = 2;

/// Index of the Ethernet device below a link, and the tags of frames that leave through
/// the link, outermost first. An error says, for people, why there is no such device.
pub fn resolve_device(ifindex: u32, links: &Links) -> Result<(u32, Vec<Tag>), String> {
    let (mut ifindex, mut tags) = (ifindex, Vec::new());
    while let Some(link) = links.get(&ifindex)
        && let Some(vlan) = link.vlan
    {
        let Some(below) = vlan.below else {
            return Err(format!("the device below {} is in another network namespace", link.name));
        };
        tags.insert(0, vlan.tag);
        if tags.len() > MAX_TAGS {
            return Err(format!("{} has more than {MAX_TAGS} VLAN tags", link.name));
        }
        ifindex = below;
    }
    Ok((ifindex, tags))
}

#[cfg(test)]
mod tests;
