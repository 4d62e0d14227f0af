use super::*;
use crate::neigh::{routing::Link, tag::Vlan};

const Q: u16 = 0x8100;
const AD: u16 = 0x88a8;

fn link(name: &str, vlan: Option<(Option<u32>, u16, u16)>) -> Link {
    let vlan = vlan.map(|(below, kind, id)| Vlan { below, tag: Tag { kind, id } });
    Link { name: name.into(), mtu: 1500, up: true, running: true, mac: Some([2; 6]), vlan, controller: None }
}

fn links() -> Links {
    [
        (1, link("eth0", None)),
        (2, link("eth0.20", Some((Some(1), Q, 20)))),
        (3, link("eth0.7", Some((Some(1), AD, 7)))),
        (4, link("eth0.7.42", Some((Some(3), Q, 42)))),
        (5, link("deep", Some((Some(4), Q, 43)))),
        (6, link("moved", Some((None, Q, 44)))),
        // Not that the kernel would let anybody.
        (7, link("loop", Some((Some(7), Q, 45)))),
    ]
    .into()
}

#[test]
fn next_hops_use_the_device_below_vlans_and_its_tags() {
    let tag = |kind, id| Tag { kind, id };
    let table = [
        (1, Ok((1, vec![]))),
        (2, Ok((1, vec![tag(Q, 20)]))),
        (4, Ok((1, vec![tag(AD, 7), tag(Q, 42)]))),
        (5, Err("eth0.7 has more than 2 VLAN tags".to_owned())),
        (6, Err("the device below moved is in another network namespace".to_owned())),
        (7, Err("loop has more than 2 VLAN tags".to_owned())),
    ];
    for (ifindex, want) in table {
        assert_eq!(resolve_device(ifindex, &links()), want);
    }
}

#[test]
fn a_tag_is_readable_and_is_encoded_as_in_a_frame() {
    let tag = Tag { kind: AD, id: 0x123 };
    assert_eq!(tag.to_string(), "802.1ad 291");
    assert_eq!(tag.wire_word().to_ne_bytes(), [0x88, 0xa8, 0x01, 0x23]);
    assert_eq!(Tag { kind: Q, id: 20 }.to_string(), "802.1Q 20");
}
