//! Does what clients send fit the paths to backends, once encapsulated? Pure.

use std::collections::BTreeMap;

use imbl::OrdMap;
use lb_common::{
    maps::{Backend, backend_flags, delivery},
    mtu::{ORDINARY, least},
};

use super::aggregate::name_some;
use crate::plan::BackendKey;

/// For people: the backends whose path is too narrow for a client's longest packet and its
/// encapsulation. `uplink` is the MTU of the uplink in bytes, which limits what clients send.
pub fn warnings(backends: &OrdMap<BackendKey, Backend>, uplink: u32) -> Vec<String> {
    let mut narrow: BTreeMap<(u16, u16), Vec<String>> = BTreeMap::new();
    for (key, backend) in narrow_paths(backends, uplink) {
        narrow.entry((backend.mtu, backend.overhead())).or_default().push(key.addr.to_string());
    }
    narrow
        .into_iter()
        .map(|((mtu, overhead), names)| narrow_path_warning(longest(uplink), mtu, overhead, names))
        .collect()
}

/// The backends whose path is too narrow for a client's longest packet and its encapsulation.
pub fn narrow_paths(
    backends: &OrdMap<BackendKey, Backend>,
    uplink: u32,
) -> impl Iterator<Item = (&BackendKey, &Backend)> {
    backends.iter().filter(move |(_, backend)| {
        let is_tunnel = backend.flags & backend_flags::RESOLVED != 0 && backend.delivery != delivery::L2;
        is_tunnel && u32::from(backend.mtu) < longest(uplink) + u32::from(backend.overhead())
    })
}

/// The longest packet of a client, in bytes.
fn longest(uplink: u32) -> u32 {
    uplink.min(ORDINARY.into())
}

fn narrow_path_warning(longest: u32, mtu: u16, overhead: u16, mut names: Vec<String>) -> String {
    names.dedup();
    let fits = mtu.saturating_sub(overhead);
    let least = least(false);
    let v6 = if fits < least {
        format!("; IPv6 packets of {least} bytes do not fit either, and clients need not send smaller ones")
    } else {
        String::new()
    };
    format!(
        "backend {}: the path carries {mtu} bytes, {overhead} of them encapsulation, so that a client's packet of {longest} \
         does not fit: clients are told to send at most {fits}{v6}; raise the MTU of the path to {}",
        name_some(names),
        longest + u32::from(overhead),
    )
}

#[cfg(test)]
mod tests {
    use lb_common::Addr;

    use super::*;
    use crate::objects::model::DeliveryMode;

    fn backend(n: u8, mtu: u16, delivery: u8, flags: u8) -> (BackendKey, Backend) {
        let addr = Addr::from(std::net::IpAddr::from([10, 0, 0, n]));
        let key = BackendKey { addr, mode: DeliveryMode::Auto, bare: flags & backend_flags::BARE != 0 };
        let flags = flags | backend_flags::RESOLVED;
        (key, Backend { outer_dst: addr, mtu, delivery, flags, ..Backend::default() })
    }

    #[test]
    fn there_is_a_warning_where_a_full_packet_does_not_fit() {
        let room = 1500 + lb_common::mtu::handed_overhead(&Addr::from(std::net::IpAddr::from([10, 0, 0, 1])));
        let fits = [backend(1, room, delivery::GUE4, 0), backend(2, 1500, delivery::L2, 0)];
        for uplink in [1500, 9000] {
            assert_eq!(warnings(&fits.into_iter().collect(), uplink), Vec::<String>::new());
        }
        let bare = [backend(1, 1520, delivery::IPIP4, backend_flags::BARE)];
        assert_eq!(warnings(&bare.into_iter().collect(), 1500), Vec::<String>::new());

        let narrow: OrdMap<_, _> = (1..=5).map(|n| backend(n, room - 1, delivery::GUE4, 0)).collect();
        let [warning] = &warnings(&narrow, 1500)[..] else { panic!("{narrow:?}") };
        for part in
            ["backend 10.0.0.1, 10.0.0.2, 10.0.0.3 and 2 more:", "1547", "1499;", "MTU of the path to 1548"]
        {
            assert!(warning.contains(part), "{part}: {warning}");
        }
        assert!(!warning.contains("IPv6"), "{warning}");
    }

    #[test]
    fn a_path_too_narrow_for_ipv6_is_warned_of() {
        let narrow: OrdMap<_, _> = [backend(1, 1300, delivery::GUE4, 0)].into_iter().collect();
        assert!(warnings(&narrow, 1500)[0].contains("IPv6 packets of 1280 bytes do not fit"));
    }
}
