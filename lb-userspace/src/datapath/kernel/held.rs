//! Which services and backends there are, as the thread needs it that forgets the
//! flows of all others.

use std::collections::{HashMap, HashSet};

use lb_common::maps::{Service, ServiceKey};

/// Kept up to date with each change: before something is written, and after it is deleted. So a
/// flow that names what is not here is of something that is gone.
#[derive(Default)]
pub struct Held {
    ids: HashMap<ServiceKey, HeldId>,
    services: HashSet<HeldId>,
    backends: HashSet<u32>,
}

/// Id and incarnation of a service.
pub type HeldId = (u32, u16);

impl Held {
    /// Returns what was held for the key before.
    pub fn set_service(&mut self, key: ServiceKey, service: &Service) -> Option<HeldId> {
        self.replace_service(key, Some((service.id, service.incarnation())))
    }

    pub fn replace_service(&mut self, key: ServiceKey, id: Option<HeldId>) -> Option<HeldId> {
        let old = match id {
            Some(id) => self.ids.insert(key, id),
            None => self.ids.remove(&key),
        };
        if let Some(old) = old.filter(|old| id != Some(*old)) {
            self.services.remove(&old);
        }
        self.services.extend(id);
        old
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(port: u16) -> ServiceKey {
        ServiceKey { addr: lb_common::Addr::from_words([0; 4]), port, protocol: 6, pad: 0 }
    }

    fn service(id: u32) -> Service {
        Service { id, flags: 7 << 16, ..Service::default() }
    }

    #[test]
    fn a_service_is_held_until_it_is_replaced_or_deleted() {
        let mut held = Held::default();
        assert_eq!(held.set_service(key(1), &service(5)), None);
        assert!(held.has_service(5, 7) && !held.has_service(5, 8));
        assert_eq!(held.set_service(key(1), &service(6)), Some((5, 7)));
        assert!(!held.has_service(5, 7) && held.has_service(6, 7));
        held.replace_service(key(1), None);
        assert!(!held.has_service(6, 7));
    }

    /// Its change of the map has failed, and another service has got the id.
    #[test]
    fn what_was_not_written_takes_nothing_from_others() {
        let mut held = Held::default();
        let before = held.set_service(key(1), &service(5));
        held.replace_service(key(1), before);
        held.set_service(key(2), &service(5));
        held.set_service(key(1), &service(6));
        assert!(held.has_service(5, 7) && held.has_service(6, 7));
    }
}
