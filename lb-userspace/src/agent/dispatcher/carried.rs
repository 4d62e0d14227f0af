//! The VIPs that this machine's data path carries.

use std::{collections::BTreeSet, net::IpAddr};

use imbl::OrdMap;
use lb_common::{
    Addr,
    maps::{Backend, Service, ServiceKey},
};

use crate::{
    agent::{reach, reconcile::Programmed},
    changes::changed_keys,
    plan::mirror::Mirror,
};

/// VIPs of which at least one port has a ring in the kernel, with a backend that
/// packets can be sent to. The mirror is asked, not the plan: the plan may be more than
/// there was room for, or have fewer next hops than the kernel (after a restart).
#[derive(Default)]
pub struct CarriedVips {
    vips: BTreeSet<IpAddr>,
    /// What they were found by.
    services: OrdMap<ServiceKey, Service>,
    proven: OrdMap<ServiceKey, u32>,
    backends: OrdMap<u16, Backend>,
}

impl CarriedVips {
    pub fn vips(&self) -> &BTreeSet<IpAddr> {
        &self.vips
    }

    /// Follows what is programmed; looks only at what has changed. Returns whether VIPs have.
    pub fn follow(&mut self, programmed: &Programmed) -> bool {
        let mirror = &programmed.mirror;
        let is_reachable =
            |backends: &OrdMap<u16, Backend>, id| backends.get(id).is_some_and(reach::is_reachable);
        let changed_backends = changed_keys(&self.backends, &mirror.backends);
        let all = changed_backends
            .iter()
            .any(|id| is_reachable(&self.backends, id) != is_reachable(&mirror.backends, id));
        let changed: BTreeSet<Addr> = if all {
            self.services.keys().chain(mirror.services.keys()).map(|key| key.addr).collect()
        } else {
            let services = changed_keys(&self.services, &mirror.services);
            services
                .into_iter()
                .chain(changed_keys(&self.proven, &programmed.proven))
                .map(|key| key.addr)
                .collect()
        };
        let mut has_changed = false;
        for addr in changed {
            let vip = IpAddr::from(addr);
            has_changed |= match is_carried(addr, programmed) {
                true => self.vips.insert(vip),
                false => self.vips.remove(&vip),
            };
        }
        self.services = mirror.services.clone();
        self.proven = programmed.proven.clone();
        self.backends = mirror.backends.clone();
        has_changed
    }
}

fn is_carried(vip: Addr, programmed: &Programmed) -> bool {
    let mirror = &programmed.mirror;
    let mut proven = mirror.services_of(vip).filter(|(key, _)| programmed.proven.contains_key(*key));
    proven.any(|(_, service)| has_reachable_backend(service, mirror))
}

fn has_reachable_backend(service: &Service, mirror: &Mirror) -> bool {
    let Some(ring) = mirror.ring_of(service) else { return false };
    // A ring has many slots, and few backends.
    let mut seen = BTreeSet::new();
    let ids = ring.iter().filter(|id| seen.insert(**id));
    ids.filter_map(|id| mirror.backends.get(id)).any(reach::is_reachable)
}
