//! What stands on the uplinks: the links that routes name for what leaves by them.

use std::collections::BTreeSet;

use super::routing::{Link, Links};

/// The indices of these uplinks and of all their upper links: bonds, bridges and VRFs that they are ports of,
/// and VLAN devices.
pub fn with_upper_links<'a>(uplinks: impl Iterator<Item = &'a u32>, links: &Links) -> BTreeSet<u32> {
    let (mut found, mut new) = (BTreeSet::new(), uplinks.copied().collect::<Vec<_>>());
    while let Some(index) = new.pop() {
        if found.insert(index) {
            let controller = links.get(&index).and_then(|link| link.controller);
            let stands_on = |link: &Link| link.vlan.is_some_and(|vlan| vlan.below == Some(index));
            let vlans = links.iter().filter(|(_, link)| stands_on(link)).map(|(index, _)| *index);
            new.extend(vlans.chain(controller));
        }
    }
    found
}

#[cfg(test)]
mod tests;
