//! Backends that packets cannot get to, for people. Pure.

use std::{collections::BTreeSet, net::IpAddr};

use lb_common::maps::{Backend, backend_flags};

use crate::{
    neigh::{NextHops, Reach},
    objects::model::DeliveryMode,
    plan::{BackendKey, Plan},
};

/// Is it local, or its next hop known?
pub fn is_reachable(backend: &Backend) -> bool {
    backend.flags & (backend_flags::RESOLVED | backend_flags::LOCAL) != 0
}

/// Why some of them cannot be reached: once for each address. And which could be reached
/// by another way of delivery than the one that is configured.
pub fn problems(plan: &Plan, hops: &NextHops) -> Vec<String> {
    let backends = &plan.backends;
    let keys = backends.keys().chain(&plan.waiting);
    let addresses: BTreeSet<IpAddr> = keys.map(|key| IpAddr::from(key.addr)).collect();
    let lost = addresses.iter().filter_map(|addr| unreachable_problem(*addr, hops.get(addr)));
    let far = backends.iter().filter(|(key, entry)| !is_reachable(entry) && is_l2_behind_router(key, hops));
    lost.chain(far.map(|(key, _)| l2_behind_router_problem(key))).collect()
}

/// Does its next hop not answer, although packets are sent to it?
pub fn is_silent(addr: &IpAddr, hops: &NextHops) -> bool {
    matches!(hops.get(addr), Some(Reach::Via(hop)) if hop.is_silent)
}

fn unreachable_problem(addr: IpAddr, reach: Option<&Reach>) -> Option<String> {
    match reach {
        None => Some(format!("backend {addr}: its next hop is not looked up yet")),
        Some(Reach::Unreachable(reason)) => Some(format!("backend {addr}: unreachable: {reason}")),
        Some(Reach::Via(hop)) if hop.dst_mac.is_none() || hop.is_silent => {
            Some(format!("backend {addr}: the next hop on {} does not answer", hop.interface))
        }
        _ => None,
    }
}

/// Is delivery `l2` configured, but the backend behind a router? The router would not deliver a VIP to it.
fn is_l2_behind_router(key: &BackendKey, hops: &NextHops) -> bool {
    let hop = hops.get(&IpAddr::from(key.addr));
    key.mode == DeliveryMode::L2 && matches!(hop, Some(Reach::Via(hop)) if !hop.on_link)
}

fn l2_behind_router_problem(key: &BackendKey) -> String {
    format!(
        "backend {}: delivery `l2` needs it on the same link, and it is behind a router; use `auto`, `gue` or `ipip`",
        IpAddr::from(key.addr)
    )
}

#[cfg(test)]
mod tests {
    use lb_common::Addr;

    use super::*;
    use crate::neigh::NextHop;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn backend(last: u8, mode: DeliveryMode, flags: u8) -> (BackendKey, Backend) {
        let key = BackendKey { addr: Addr::from(ip(last)), mode, bare: false };
        (key, Backend { flags, ..Backend::default() })
    }

    fn via(on_link: bool, dst_mac: Option<[u8; 6]>) -> Reach {
        Reach::Via(NextHop {
            ifindex: 2,
            interface: "uplink".into(),
            device: 2,
            tags: Vec::new(),
            source: ip(9),
            on_link,
            gateway: None,
            mtu: 1500,
            src_mac: [2; 6],
            dst_mac,
            is_silent: false,
        })
    }

    #[test]
    fn each_backend_without_a_way_is_named_once_with_the_reason() {
        use DeliveryMode::{Auto, Gue, L2};
        let backends = [
            backend(1, Auto, backend_flags::RESOLVED),
            backend(2, Auto, 0),
            backend(2, Gue, 0),
            backend(3, Gue, 0),
            backend(4, L2, 0),
            backend(4, Gue, backend_flags::RESOLVED),
            backend(5, L2, backend_flags::LOCAL),
            backend(6, Auto, 0),
        ];
        let hops = [
            (ip(1), via(true, Some([3; 6]))),
            (ip(2), Reach::Unreachable("no route".into())),
            (ip(3), via(true, None)),
            (ip(4), via(false, Some([3; 6]))),
            (ip(5), Reach::Local),
            // Of nobody that is a backend.
            (ip(7), Reach::Unreachable("no route".into())),
        ];
        let expected = [
            "backend 10.0.0.2: unreachable: no route",
            "backend 10.0.0.3: the next hop on uplink does not answer",
            "backend 10.0.0.6: its next hop is not looked up yet",
            "backend 10.0.0.4: delivery `l2` needs it on the same link, and it is behind a router; use `auto`, `gue` or `ipip`",
        ];
        let plan = Plan { backends: backends.into(), ..Plan::default() };
        assert_eq!(problems(&plan, &hops.into()), expected);
    }
}
