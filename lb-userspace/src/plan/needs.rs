//! What packets to a service need in the maps.

use lb_common::maps::{Service, ServiceKey};

use super::{mirror::Mirror, op::Entry};

impl Mirror {
    /// Has all that packets to this service need been read back as it was written?
    pub fn is_proven(&self, key: &ServiceKey) -> bool {
        let service = self.services.get(key);
        service.is_some_and(|service| !self.unproven.keys().any(|entry| self.needs(key, service, entry)))
    }

    fn needs(&self, key: &ServiceKey, service: &Service, entry: &Entry) -> bool {
        match entry {
            Entry::Service(other) => other == key,
            Entry::Vip(addr) => *addr == key.addr,
            Entry::Ring(offset) => *offset == service.ring_offset,
            Entry::History(offset) => *offset == service.history_offset,
            Entry::Endpoint(endpoint) => endpoint.service == service.id && endpoint.index < service.endpoints,
            Entry::Range(id, _) => *id == service.id,
            Entry::Backend(id) => self.names_backend(service, *id),
            // Packets for endpoints here come from any of them.
            Entry::Peer(_) => service.endpoints > 0,
        }
    }

    fn names_backend(&self, service: &Service, id: u16) -> bool {
        let ring = self.rings.get(&service.ring_offset);
        let history = self.histories.get(&service.history_offset);
        ring.is_some_and(|slots| slots.contains(&id))
            || history.is_some_and(|slots| slots.iter().any(|owners| owners.ids.contains(&id)))
    }
}
