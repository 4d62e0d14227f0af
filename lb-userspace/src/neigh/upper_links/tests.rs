use super::*;
use crate::neigh::tag::{Tag, Vlan};

fn link(below: Option<u32>, controller: Option<u32>) -> Link {
    let vlan = below.map(|_| Vlan { below, tag: Tag { kind: 0x8100, id: 7 } });
    Link { name: String::new(), mtu: 1500, up: true, running: true, mac: None, vlan, controller }
}

#[test]
fn what_stands_on_an_uplink_leaves_by_it() {
    let links: Links = [
        (1, link(None, Some(3))),
        (2, link(None, None)),
        (3, link(None, None)),
        (4, link(Some(3), None)),
        (5, link(Some(4), Some(6))),
        (6, link(None, None)),
        (7, link(Some(2), None)),
        // Ports of a bridge of Pods.
        (8, link(None, Some(9))),
        (9, link(None, None)),
        // Not that the kernel would let anybody.
        (10, link(Some(11), Some(11))),
        (11, link(Some(10), None)),
    ]
    .into();
    let all_of = |uplinks: &[u32]| with_upper_links(uplinks.iter(), &links);
    assert_eq!(all_of(&[1]), [1, 3, 4, 5, 6].into());
    assert_eq!(all_of(&[2, 11]), [2, 7, 10, 11].into());
    // One that is gone.
    assert_eq!(all_of(&[12]), [12].into());
    assert_eq!(all_of(&[]), [].into());
}
