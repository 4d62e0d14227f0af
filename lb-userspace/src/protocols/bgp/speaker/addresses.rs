//! Our addresses on the way to a peer, which can be next hops.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use futures::TryStreamExt;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope};

use crate::protocols::bgp::rib::LocalAddresses;

/// Reads the addresses of the interface that has the session's local address.
pub async fn read(local: SocketAddr) -> io::Result<LocalAddresses> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let serving = tokio::spawn(connection);
    let messages: Result<Vec<_>, _> = handle.address().get().execute().try_collect().await;
    serving.abort();
    Ok(choose_addresses(local, &messages.map_err(io::Error::other)?))
}

fn choose_addresses(local: SocketAddr, messages: &[AddressMessage]) -> LocalAddresses {
    let scope = match local {
        SocketAddr::V6(local) if local.ip().is_unicast_link_local() => Some(local.scope_id()),
        _ => None,
    };
    let interface = scope.or_else(|| {
        messages
            .iter()
            .find(|message| message_address(message) == Some(local.ip()))
            .map(|message| message.header.index)
    });
    let mut others: Vec<_> = messages
        .iter()
        .filter(|message| Some(message.header.index) == interface && is_global(message))
        .collect();
    // A permanent address is better than one with a lifetime.
    others.sort_by_key(|message| !message.header.flags.contains(AddressHeaderFlags::Permanent));
    let others = || others.iter().copied().filter_map(message_address);
    LocalAddresses {
        local: local.ip(),
        v4: others().find_map(|address| if let IpAddr::V4(address) = address { Some(address) } else { None }),
        v6: others().find_map(|address| if let IpAddr::V6(address) = address { Some(address) } else { None }),
    }
}

fn is_global(message: &AddressMessage) -> bool {
    let unusable = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
    message.header.scope == AddressScope::Universe && !message.header.flags.intersects(unusable)
}

/// The address itself: on point-to-point links, `Address` is the other side's.
fn message_address(message: &AddressMessage) -> Option<IpAddr> {
    let find = |is_local: bool| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(address) if is_local => Some(*address),
            AddressAttribute::Address(address) if !is_local => Some(*address),
            _ => None,
        })
    };
    find(true).or_else(|| find(false))
}
