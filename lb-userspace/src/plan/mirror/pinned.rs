//! What an earlier agent's entries tell of the Services that they were made from.

use std::collections::BTreeMap;

use lb_common::maps::{Service, service_flags};

use super::Mirror;
use crate::{
    objects::model::{Frontend, NewFlows, PinnedSettings, Policy},
    plan::planned::{BackendKey, frontend},
};

impl Mirror {
    /// The settings of the services that are in the maps, without what kube-proxy carries.
    pub fn pinned_settings(&self) -> BTreeMap<Frontend, PinnedSettings> {
        let of_entry = |(key, service)| Some((frontend(key)?, self.settings_of(service)?));
        self.services.iter().filter(|(_, service)| !service.is_passed()).filter_map(of_entry).collect()
    }

    /// None: whom it admits is not known.
    fn settings_of(&self, service: &Service) -> Option<PinnedSettings> {
        let ranges = self.ranges.get(&service.id).into_iter().flatten();
        let ranges = ranges.map(|range| range.net()).collect::<Option<Vec<_>>>()?;
        if ranges.is_empty() && service.flags & service_flags::RANGES != 0 {
            return None;
        }
        let slots = self.ring_of(service).into_iter().flat_map(|ring| ring.iter());
        let mut backends = slots.filter_map(|id| self.backends.get(id)).map(BackendKey::from_entry);
        Some(PinnedSettings {
            delivery: backends.next().map(|key| key.mode).unwrap_or_default(),
            bare: service.flags & service_flags::BARE != 0,
            policy: Policy {
                ranges,
                affinity: Some(service.affinity).filter(|seconds| *seconds > 0),
                new_flows: Some(service.new_flows).filter(|flows| *flows > 0).map(NewFlows::Here),
            },
        })
    }
}
