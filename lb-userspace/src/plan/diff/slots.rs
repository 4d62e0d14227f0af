//! Where rings and histories lie in their slabs, and what is in their slots.

use std::{iter, sync::Arc};

use lb_common::{
    maps::{Service, ServiceKey, service_flags},
    ring::{CHUNK_SLOTS, Owners},
};

use super::DiffBuilder;
use crate::plan::{
    alloc::Gaps,
    heirs, history,
    op::Op,
    planned::{BackendKey, PlannedService},
    shortage::Shortage,
};

/// A range of a slab.
pub(super) struct Place<S> {
    /// The first slot; 0 if there are none.
    pub offset: u32,
    /// What has to be written there; None if it is there already.
    pub write: Option<Arc<[S]>>,
}

impl<S> Place<S> {
    const NOWHERE: Self = Self { offset: 0, write: None };
}

/// Where the slots of a service lie.
pub(super) struct Slots {
    /// How many, in the ring and in the history alike.
    pub len: u32,
    pub ring: Place<u16>,
    pub history: Place<Owners>,
}

impl DiffBuilder<'_> {
    /// Finds room for a service's slots, or keeps the old ones.
    pub(super) fn find_slots(
        &mut self,
        old: Option<&Service>,
        planned: &PlannedService,
    ) -> Result<Slots, Shortage> {
        self.place_slots(old, planned).or_else(|shortage| {
            // By this flag, the directors and nodes of a ring treat its members in another way.
            let is_bare = |flags| flags & service_flags::BARE;
            let Some(old) = old.filter(|old| is_bare(old.flags) == is_bare(planned.flags)) else {
                return Err(shortage);
            };
            self.diff.shortages.push(shortage);
            Ok(Slots {
                len: old.ring_len,
                ring: Place { offset: old.ring_offset, write: None },
                history: Place { offset: old.history_offset, write: None },
            })
        })
    }

    /// Finds room for a service's ring, if this machine is a director, and for its history,
    /// if it is a node that keeps one.
    fn place_slots(&mut self, old: Option<&Service>, planned: &PlannedService) -> Result<Slots, Shortage> {
        let ring = self.ring_ids(planned);
        // Without owners that it could ask, the node does not ask.
        let owners = self.owner_ids(planned, &planned.ring).filter(|ids| !ids.is_empty());
        // A director looks into the slab whether or not the service has a place there.
        let has_none = match &ring {
            Some(ids) => ids.is_empty(),
            None => owners.is_none(),
        };
        if has_none {
            return Ok(Slots { len: 0, ring: Place::NOWHERE, history: Place::NOWHERE });
        }
        let ring = ring.map(|ids| self.place_ring(old, planned, ids)).transpose()?;
        let history = owners.map(|ids| self.place_history(old, planned, &ids)).transpose()?;
        Ok(Slots {
            len: planned.ring.len() as u32,
            ring: ring.unwrap_or(Place::NOWHERE),
            history: history.unwrap_or(Place::NOWHERE),
        })
    }

    /// Has every backend that the service needs on this machine an id?
    pub(super) fn has_all_backends(&self, planned: &PlannedService) -> bool {
        let members = planned.members.iter().map(|(key, _)| key).filter(|_| self.plan.is_director);
        members.chain(planned.owners.iter()).all(|key| self.backend_ids.contains_key(key))
    }

    /// The old ring, if it is the same.
    fn place_ring(
        &mut self,
        old: Option<&Service>,
        planned: &PlannedService,
        ids: Vec<u16>,
    ) -> Result<Place<u16>, Shortage> {
        let slots: Arc<[u16]> = ids.into();
        if let Some(old) = old.filter(|old| old.ring_len as usize == slots.len())
            && self.mirror.rings.get(&old.ring_offset) == Some(&slots)
        {
            return Ok(Place { offset: old.ring_offset, write: None });
        }
        let offset = self.ring_gaps().find(slots.len() as u32);
        let offset = offset.ok_or_else(|| Shortage::Rings(planned.name.clone()))?;
        Ok(Place { offset, write: Some(slots) })
    }

    /// The old history, if no slot has changed hands.
    fn place_history(
        &mut self,
        old: Option<&Service>,
        planned: &PlannedService,
        ids: &[u16],
    ) -> Result<Place<Owners>, Shortage> {
        let known = old.filter(|old| old.history_offset > 0);
        let known =
            known.and_then(|old| Some((old.history_offset, self.mirror.histories.get(&old.history_offset)?)));
        let before = match known {
            Some((_, owners)) => owners.to_vec(),
            None => history::begin(&self.owner_ids(planned, &planned.without_me).unwrap_or_default()),
        };
        let owners = history::advance(&before, ids, |id| !self.gone.contains(&id));
        if let Some((offset, known)) = known
            && **known == *owners
        {
            return Ok(Place { offset, write: None });
        }
        let offset = self.history_gaps().find(owners.len() as u32);
        let offset = offset.ok_or_else(|| Shortage::Histories(planned.name.clone()))?;
        Ok(Place { offset, write: Some(owners.into()) })
    }

    /// Takes the room that was found.
    pub(super) fn take_ring(&mut self, Place { offset, write }: Place<u16>) -> Option<Op> {
        let slots = write?;
        self.ring_gaps().take(slots.len() as u32);
        Some(Op::WriteRing { offset, slots })
    }

    pub(super) fn take_history(&mut self, Place { offset, write }: Place<Owners>) -> Option<Op> {
        let owners = write?;
        self.history_gaps().take(owners.len() as u32);
        Some(Op::WriteHistory { offset, owners })
    }

    /// Does the service's history name a backend that is about to be cleared?
    pub(super) fn has_gone_owner(&self, key: &ServiceKey) -> bool {
        let service = self.mirror.services.get(key);
        let history = service.and_then(|service| self.mirror.histories.get(&service.history_offset));
        let names_gone = |owners: &Owners| owners.ids.iter().any(|id| self.gone.contains(id));
        !self.gone.is_empty() && history.is_some_and(|history| history.iter().any(names_gone))
    }

    /// The ring by which this machine sends; None if it is no director.
    fn ring_ids(&self, planned: &PlannedService) -> Option<Vec<u16>> {
        let members = || planned.members.iter().map(|(key, _)| *key);
        self.plan.is_director.then(|| self.slot_ids(members(), &planned.live))
    }

    /// The owners of a ring's slots; None if this machine keeps no former owners.
    fn owner_ids(&self, planned: &PlannedService, ring: &[u16]) -> Option<Vec<u16>> {
        let has_owners = !planned.owners.is_empty();
        has_owners.then(|| self.slot_ids(planned.owners.iter().copied(), ring))
    }

    /// The ring's slots as ids of `BACKENDS`; `keys` are those of its members. Slots of
    /// members for which there is no room go to heirs, as those of the dead do: a slot that
    /// names nobody would drop its flows. Empty if there is room for none.
    fn slot_ids(&self, keys: impl Iterator<Item = BackendKey>, ring: &[u16]) -> Vec<u16> {
        let ids: Vec<Option<u16>> = keys.map(|key| self.backend_ids.get(&key).copied()).collect();
        let id = |member: u16| ids[usize::from(member)];
        let with_heirs = ids.contains(&None).then(|| heirs::living_ring(ring, |member| id(member).is_some()));
        match with_heirs {
            None => ring.iter().filter_map(|member| id(*member)).collect(),
            Some(ring) => ring.unwrap_or_default().into_iter().filter_map(id).collect(),
        }
    }

    fn ring_gaps(&mut self) -> &mut Gaps {
        let (mirror, capacity) = (self.mirror, self.capacity.ring_slots);
        self.ring_gaps.get_or_insert_with(|| {
            let used = mirror.rings.iter().map(|(offset, slots)| (*offset, slots.len() as u32));
            free_gaps(capacity, used, mirror.quarantine.rings())
        })
    }

    fn history_gaps(&mut self) -> &mut Gaps {
        let (mirror, capacity) = (self.mirror, self.capacity.history_slots);
        self.history_gaps.get_or_insert_with(|| {
            let used = mirror.histories.iter().map(|(offset, owners)| (*offset, owners.len() as u32));
            free_gaps(capacity, used, mirror.quarantine.histories())
        })
    }
}

/// The gaps of a slab. Its first chunk stays empty: offset 0 stands for none,
/// and the programs may read there.
fn free_gaps(
    capacity: u32,
    used: impl Iterator<Item = (u32, u32)>,
    resting: impl Iterator<Item = (u32, u32)>,
) -> Gaps {
    let used = used.filter(|(offset, _)| *offset > 0);
    Gaps::new(capacity, iter::once((0, CHUNK_SLOTS)).chain(used).chain(resting))
}
