//! Which services and backends there are, as the thread needs it that forgets the flows of
//! all others.

use std::collections::{HashMap, HashSet};

use lb_common::maps::{Service, ServiceKey};

/// Kept up to date with each change, before a service or a backend is written and after it is
/// deleted: so a flow that names one that is not here is of an earlier one.
#[derive(Default)]
pub struct Held {
    ids: HashMap<ServiceKey, (u32, u16)>,
    /// Id and incarnation.
    services: HashSet<(u32, u16)>,
    backends: HashSet<u32>,
}

impl Held {
    pub fn set_service(&mut self, key: ServiceKey, service: &Service) {
        let id = (service.id, service.incarnation());
        self.services.insert(id);
        if let Some(old) = self.ids.insert(key, id).filter(|old| *old != id) {
            self.services.remove(&old);
        }
    }

    pub fn delete_service(&mut self, key: &ServiceKey) {
        if let Some(id) = self.ids.remove(key) {
            self.services.remove(&id);
        }
    }

    pub fn set_backend(&mut self, id: u16) {
        self.backends.insert(u32::from(id));
    }

    pub fn clear_backend(&mut self, id: u16) {
        self.backends.remove(&u32::from(id));
    }

    pub fn has_service(&self, id: u32, incarnation: u16) -> bool {
        self.services.contains(&(id, incarnation))
    }

    pub fn has_backend(&self, id: u32) -> bool {
        self.backends.contains(&id)
    }
}
