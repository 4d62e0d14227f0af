//! What packets to a service need in the maps.

use std::collections::BTreeSet;

use lb_common::{
    Addr,
    maps::{EndpointKey, Service, ServiceKey},
};

use super::{
    mirror::Mirror,
    op::{Entry, Op},
};

/// Entries that may not be what they should be: their last change has failed, or could not be
/// read back.
pub struct Doubts {
    entries: BTreeSet<Entry>,
    backends: BTreeSet<u16>,
    endpoint_slots: BTreeSet<u32>,
    has_peers: bool,
}

impl Doubts {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn has_any(&self, range: impl std::ops::RangeBounds<Entry>) -> bool {
        self.entries.range(range).next().is_some()
    }
}

impl Mirror {
    pub fn doubts(&self) -> Doubts {
        // What is left too long is needed by no packet.
        let is_left = |op: &Op| {
            matches!(
                op,
                Op::DeletePeer(_) | Op::DeleteVip(_) | Op::ClearBackend(_) | Op::ClearEndpointSlot(..)
            )
        };
        let is_needed = |op: &&Op| !is_left(op);
        let ops = self.unproven.values().chain(self.failed.values());
        let entries: BTreeSet<Entry> = ops.filter(is_needed).filter_map(Op::entry).collect();
        let backend = |entry: &Entry| match entry {
            Entry::Backend(id) => Some(*id),
            _ => None,
        };
        let slot = |entry: &Entry| match entry {
            Entry::EndpointSlot(slot) => Some(*slot),
            _ => None,
        };
        Doubts {
            backends: entries.iter().filter_map(backend).collect(),
            endpoint_slots: entries.iter().filter_map(slot).collect(),
            has_peers: entries.iter().any(|entry| matches!(entry, Entry::Peer(_))),
            entries,
        }
    }

    /// May an entry that could not be read back still name what was freed?
    pub fn may_name_freed(&self) -> bool {
        let names_others =
            |entry: &Entry| matches!(entry, Entry::Service(_) | Entry::Peer(_) | Entry::Endpoint(_));
        self.unproven.keys().any(names_others)
    }

    /// Is all there that packets to this service need, and nothing of it in doubt?
    pub fn is_proven(&self, key: &ServiceKey, doubts: &Doubts) -> bool {
        let Some(service) = self.services.get(key) else { return false };
        self.has_all(key, service) && (doubts.is_empty() || !self.is_in_doubt(key, service, doubts))
    }

    /// The services of a VIP.
    pub fn services_of(&self, vip: Addr) -> impl Iterator<Item = (&ServiceKey, &Service)> {
        let first = ServiceKey { addr: vip, port: 0, protocol: 0, pad: 0 };
        self.services.range(first..).take_while(move |(key, _)| key.addr == vip)
    }

    fn has_all(&self, key: &ServiceKey, service: &Service) -> bool {
        let endpoints = self.endpoints.range(counted_endpoints(service));
        let is_there =
            |slot: u32| self.endpoint_slots.get(slot).is_some_and(|held| held.service == service.id);
        // Without its VIP, what kube-proxy carries passes as well.
        (service.is_passed() || self.vips.contains_key(&key.addr))
            && self.has_slots(service)
            && endpoints.filter(|(_, slot)| is_there(**slot)).count() == service.endpoints as usize
    }

    fn is_in_doubt(&self, key: &ServiceKey, service: &Service, doubts: &Doubts) -> bool {
        let entries = [
            Entry::Service(*key),
            Entry::Vip(key.addr),
            Entry::Ring(service.ring_offset),
            Entry::History(service.history_offset),
        ];
        let endpoints = counted_endpoints(service);
        let endpoints = Entry::Endpoint(endpoints.start)..Entry::Endpoint(endpoints.end);
        // Packets for endpoints here may come from any peer, and are handed on to any.
        let needs_peers = service.endpoints > 0 || service.history_offset > 0;
        entries.iter().any(|entry| doubts.entries.contains(entry))
            || doubts.has_any(endpoints)
            || doubts
                .endpoint_slots
                .iter()
                .any(|slot| self.endpoint_slots.get(*slot).is_some_and(|held| held.service == service.id))
            || doubts.entries.iter().any(|entry| matches!(entry, Entry::Range(id, _) if *id == service.id))
            || (doubts.has_peers && needs_peers)
            || (!doubts.backends.is_empty() && self.names_any(service, &doubts.backends))
    }

    fn names_any(&self, service: &Service, backends: &BTreeSet<u16>) -> bool {
        let ring = self.ring_of(service).into_iter().flat_map(|slots| slots.iter());
        let history = self.history_of(service).into_iter().flat_map(|slots| slots.iter());
        ring.chain(history.flat_map(|owners| &owners.ids)).any(|id| backends.contains(id))
    }
}

fn counted_endpoints(service: &Service) -> std::ops::Range<EndpointKey> {
    let key = |index| EndpointKey { service: service.id, index };
    key(0)..key(service.endpoints)
}
