//! The entries of a plan for VIPs: they follow from the services that a VIP has.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use lb_common::{
    Addr,
    maps::{ServiceKey, Vip, service_flags, vip_flags},
};

use super::Round;
use crate::{
    objects::model::{Protocol, Service},
    plan::{
        planned::{Plan, PlannedService, frontend},
        subject::Subject,
    },
};

/// The VIPs that have backends at these addresses, also those that a service has kept while new ones wait for their
/// next hops.
pub(super) fn served_at(plan: &Plan, addresses: &BTreeSet<Addr>) -> BTreeSet<IpAddr> {
    if addresses.is_empty() {
        return BTreeSet::new();
    }
    let is_there = |planned: &PlannedService| {
        planned.members.iter().any(|(backend, _)| addresses.contains(&backend.addr))
    };
    let served = plan.services.iter().filter(|(_, planned)| is_there(planned));
    served.map(|(key, _)| key.addr.into()).collect()
}

/// Makes the entries of these VIPs what they are to be.
pub(super) fn renew(plan: &mut Plan, vips: &BTreeSet<IpAddr>, round: &Round<'_>) {
    for vip in vips {
        let addr = Addr::from(*vip);
        match entry(plan, addr, round) {
            Some(entry) => plan.vips.insert(addr, entry),
            None => plan.vips.remove(&addr),
        };
    }
}

/// None: there is no service in the data path.
fn entry(plan: &Plan, vip: Addr, round: &Round<'_>) -> Option<Vip> {
    let first = ServiceKey { addr: vip, port: 0, protocol: 0, pad: 0 };
    let services: Vec<_> = plan.services.range(first..).take_while(|(key, _)| key.addr == vip).collect();
    let mut in_data_path = services.iter().filter(|(_, planned)| !planned.is_passed()).peekable();
    in_data_path.peek()?;
    let answers_echo =
        round.me.answer_echo && in_data_path.any(|(key, planned)| is_usable(key, planned, round));
    let entry = Vip { flags: if answers_echo { vip_flags::ECHO } else { 0 } };
    let can_meet =
        round.me.asks_former_owners && services.iter().all(|(key, planned)| can_gather(key, planned, round));
    let keys = services.iter().filter(|(_, planned)| !planned.members.is_empty()).map(|(key, _)| *key);
    // Nearly all fragments are of datagrams.
    let meeting = keys
        .filter(|_| can_meet)
        .min_by_key(|key| (key.protocol != Protocol::Udp.number(), u16::from_be(key.port)));
    Some(meeting.map_or(entry, |key| entry.with_meeting(key.port, key.protocol)))
}

/// Can fragments of its packets go to any node, which hands them on? Not those that have to stay where they come
/// in, and neither those for bare servers nor those for kube-proxy.
fn can_gather(key: &ServiceKey, planned: &PlannedService, round: &Round<'_>) -> bool {
    planned.flags & (service_flags::PASS | service_flags::BARE) == 0
        && service_of(key, round).is_some_and(|service| !service.local)
}

fn service_of<'a>(key: &ServiceKey, round: &'a Round<'_>) -> Option<&'a Arc<Service>> {
    round.cluster.services.get(&frontend(key)?)
}

/// Does any backend take new connections? A ping says so.
fn is_usable(key: &ServiceKey, planned: &PlannedService, round: &Round<'_>) -> bool {
    let lives = |backend| !round.dead.contains(&Subject::of_backend(key, backend));
    service_of(key, round).is_some_and(|service| service.backends.take_new())
        && planned.members.iter().any(|(backend, _)| lives(backend))
}
