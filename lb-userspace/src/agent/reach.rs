//! Backends that packets cannot get to, for people. Pure.

use std::net::IpAddr;

use lb_common::maps::{Backend, backend_flags};

use super::aggregate::Fault;
use crate::{
    changes::changed_keys,
    neigh::{NextHops, Reach},
    objects::model::DeliveryMode,
    plan::{BackendKey, Plan},
};

/// Is it local, or its next hop known?
pub fn is_reachable(backend: &Backend) -> bool {
    backend.flags & (backend_flags::RESOLVED | backend_flags::LOCAL) != 0
}

/// Is this a director that has backends, and there is no way to any?
pub fn is_cut_off(plan: &Plan, hops: &NextHops) -> bool {
    plan.is_director && !plan.members.is_empty() && !plan.members.keys().any(|key| has_way(key, plan, hops))
}

/// Is there a way to this backend?
pub fn has_way(key: &BackendKey, plan: &Plan, hops: &NextHops) -> bool {
    plan.backends.get(key).is_some_and(is_reachable) && !is_silent(&key.addr.into(), hops)
}

/// Why some of them cannot be reached. And which could be reached by another way of
/// delivery than the one that is configured.
pub fn faults(plan: &Plan, hops: &NextHops) -> Vec<Fault> {
    let keys = plan.backends.keys().chain(&plan.waiting);
    let of_backends = keys.flat_map(|key| faults_of(key, plan, hops));
    let cut_off = is_cut_off(plan, hops).then(|| Fault::new(CUT_OFF, ""));
    cut_off.into_iter().chain(of_backends).collect()
}

/// May one plan with its next hops have other faults than the one before it? Looks only at what both
/// do not share.
pub fn may_differ([was, is]: [&Plan; 2], [hops_before, hops]: [&NextHops; 2]) -> bool {
    let said_of_hop = |hops: &NextHops, target: &IpAddr| {
        let reach = hops.get(target);
        (unreachable_reason(reach), reach.is_some_and(is_behind_router))
    };
    let mut targets = changed_keys(hops_before, hops).into_iter();
    let mut backends = changed_keys(&was.backends, &is.backends).into_iter();
    was.waiting != is.waiting
        || is_cut_off(was, hops_before) != is_cut_off(is, hops)
        || targets.any(|target| said_of_hop(hops_before, &target) != said_of_hop(hops, &target))
        || backends.any(|key| faults_of(&key, was, hops_before) != faults_of(&key, is, hops))
}

fn faults_of(key: &BackendKey, plan: &Plan, hops: &NextHops) -> Vec<Fault> {
    let entry = plan.backends.get(key);
    if entry.is_none() && !plan.waiting.contains(key) {
        return Vec::new();
    }
    let addr = IpAddr::from(key.addr);
    let is_far = entry.is_some_and(|entry| !is_reachable(entry)) && is_l2_behind_router(key, hops);
    let far = is_far.then(|| L2_BEHIND_ROUTER.to_owned());
    let said = unreachable_reason(hops.get(&addr)).into_iter().chain(far);
    said.map(|said| Fault::new(said, format!("backend {addr}"))).collect()
}

const CUT_OFF: &str = "this director reaches none of its backends: look at its links and routes";

const L2_BEHIND_ROUTER: &str =
    "delivery `l2` needs it on the same link, and it is behind a router; use `auto`, `gue` or `ipip`";

/// Does its next hop not answer, although packets are sent to it?
pub fn is_silent(addr: &IpAddr, hops: &NextHops) -> bool {
    matches!(hops.get(addr), Some(Reach::Via(hop)) if hop.is_silent)
}

fn unreachable_reason(reach: Option<&Reach>) -> Option<String> {
    match reach {
        None => Some("its next hop is not looked up yet".to_owned()),
        Some(Reach::Unreachable(reason)) => Some(format!("unreachable: {reason}")),
        Some(Reach::Via(hop)) if hop.dst_mac.is_none() || hop.is_silent => {
            Some(format!("the next hop on {} does not answer", hop.interface))
        }
        _ => None,
    }
}

/// Is delivery `l2` configured, but the backend behind a router? The router would not deliver a VIP to it.
fn is_l2_behind_router(key: &BackendKey, hops: &NextHops) -> bool {
    key.mode == DeliveryMode::L2 && hops.get(&IpAddr::from(key.addr)).is_some_and(is_behind_router)
}

fn is_behind_router(reach: &Reach) -> bool {
    matches!(reach, Reach::Via(hop) if !hop.on_link)
}

#[cfg(test)]
mod tests {
    use lb_common::Addr;

    use super::*;
    use crate::{agent::aggregate::fault_lines, neigh::NextHop};

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn backend(last: u8, mode: DeliveryMode, flags: u8) -> (BackendKey, Backend) {
        let key = BackendKey { addr: Addr::from(ip(last)), mode, bare: false };
        (key, Backend { flags, ..Backend::default() })
    }

    fn via(on_link: bool, dst_mac: Option<[u8; 6]>) -> Reach {
        Reach::Via(NextHop { on_link, dst_mac, ..NextHop::on_uplink() })
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
            backend(8, Auto, 0),
        ];
        let hops = [
            (ip(1), via(true, Some([3; 6]))),
            (ip(2), Reach::Unreachable("no route".into())),
            (ip(8), Reach::Unreachable("no route".into())),
            (ip(3), via(true, None)),
            (ip(4), via(false, Some([3; 6]))),
            (ip(5), Reach::Local),
            // Of nobody that is a backend.
            (ip(7), Reach::Unreachable("no route".into())),
        ];
        let expected = [
            "backend 10.0.0.2, backend 10.0.0.8: unreachable: no route",
            "backend 10.0.0.3: the next hop on uplink does not answer",
            "backend 10.0.0.4: delivery `l2` needs it on the same link, and it is behind a router; use `auto`, `gue` or `ipip`",
            "backend 10.0.0.6: its next hop is not looked up yet",
        ];
        let plan = Plan { backends: backends.into_iter().collect(), ..Plan::default() };
        assert_eq!(fault_lines(faults(&plan, &hops.into_iter().collect())), expected);
    }

    /// A director's rings name the first two; the third is another node to hand packets on to.
    #[test]
    fn a_director_is_cut_off_if_no_member_of_a_ring_has_a_way() {
        use DeliveryMode::{Auto, Gue};
        let cut_off = |members: &[u8], first: u8, second: u8, is_silent: bool| {
            let backends =
                [backend(1, Auto, first), backend(2, Auto, second), backend(3, Gue, backend_flags::RESOLVED)];
            let hop = NextHop { is_silent, dst_mac: Some([3; 6]), ..NextHop::on_uplink() };
            let hops = (1..=3).map(|last| (ip(last), Reach::Via(hop.clone()))).collect();
            let members = members.iter().map(|last| (backend(*last, Auto, 0).0, 1usize)).collect();
            let plan = Plan {
                is_director: true,
                backends: backends.into_iter().collect(),
                members,
                ..Plan::default()
            };
            is_cut_off(&plan, &hops)
        };
        let (way, own) = (backend_flags::RESOLVED, backend_flags::LOCAL);
        assert!(!cut_off(&[], 0, 0, false), "there is no service");
        assert!(cut_off(&[1, 2], 0, 0, false));
        assert!(!cut_off(&[1, 2], 0, way, false));
        assert!(!cut_off(&[1], own, 0, false));
        assert!(cut_off(&[1, 2], way, way, true), "the neighbours do not answer");
    }
}
