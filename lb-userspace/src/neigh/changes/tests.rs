use std::net::IpAddr;

use netlink_packet_core::NetlinkMessage;
use netlink_packet_route::{
    AddressFamily,
    RouteNetlinkMessage::{self, DelNeighbour, NewNeighbour},
    neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::RouteMessage,
};
use proptest::prelude::*;

use super::*;
use crate::neigh::next_hop::Mac;

const MAC: Mac = [2, 0, 0, 0, 0, 9];

fn entry(address: &str) -> NeighbourMessage {
    let address: IpAddr = address.parse().unwrap();
    let mut message = NeighbourMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.ifindex = 7;
    message.header.state = NeighbourState::Stale;
    message.attributes.push(NeighbourAttribute::Destination(address.into()));
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(MAC.to_vec()));
    message
}

fn bytes(message: RouteNetlinkMessage) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len().next_multiple_of(ALIGNMENT)];
    message.serialize(&mut bytes);
    bytes
}

fn key(address: &str) -> NeighbourKey {
    NeighbourKey { ifindex: 7, address: address.parse().unwrap() }
}

fn changed(address: &str) -> NeighbourChange {
    let neighbour = Some(Neighbour { mac: Some(MAC), tended: false });
    NeighbourChange { key: key(address), neighbour }
}

#[test]
fn each_message_of_a_datagram_is_a_change() {
    let datagram = [
        bytes(NewNeighbour(entry("192.0.2.9"))),
        bytes(RouteNetlinkMessage::NewRoute(RouteMessage::default())),
        bytes(NewNeighbour(entry("2001:db8::9"))),
        bytes(DelNeighbour(entry("192.0.2.8"))),
    ];
    let deleted = NeighbourChange { key: key("192.0.2.8"), neighbour: None };
    assert_eq!(decode_changes(&datagram.concat()), [changed("192.0.2.9"), changed("2001:db8::9"), deleted]);
}

#[test]
fn what_makes_no_sense_is_left_out() {
    let whole = bytes(NewNeighbour(entry("192.0.2.9")));
    assert_eq!(decode_changes(&[]), []);
    assert_eq!(decode_changes(&whole[..whole.len() - 1]), []);
    let mut bridged = entry("192.0.2.9");
    bridged.header.family = AddressFamily::Bridge;
    let mut endless = whole.clone();
    endless[..4].fill(0);
    assert_eq!(
        decode_changes(&[&bytes(NewNeighbour(bridged))[..], &whole, &endless].concat()),
        [changed("192.0.2.9")]
    );
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        flips in prop::collection::vec((0usize..200, any::<u8>()), 0..12),
        cut in 0usize..200,
        noise in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut datagram =
            [bytes(NewNeighbour(entry("2001:db8::9"))), bytes(DelNeighbour(entry("192.0.2.8"))), noise].concat();
        for (at, value) in flips {
            if let Some(byte) = datagram.get_mut(at) {
                *byte = value;
            }
        }
        datagram.truncate(datagram.len().saturating_sub(cut));
        prop_assert!(decode_changes(&datagram).len() <= datagram.len() / 16);
    }
}
