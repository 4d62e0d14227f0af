//! Where rings and histories lie in their slabs, and what is in their slots.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
};

use lb_common::{
    maps::{Service, ServiceKey, service_flags},
    ring::Owners,
};

use super::DiffBuilder;
use crate::plan::{
    alloc::Gaps,
    heirs, history,
    mirror::{Mirror, SlabMirror},
    op::Op,
    planned::{BackendKey, PlannedService},
    ring::Ring,
    shortage::Shortage,
};

/// A range of a slab.
pub(super) struct Place<S> {
    /// The first slot; 0 if there are none.
    pub offset: u32,
    /// What has to be written there; None if it is there already.
    write: Option<Arc<[S]>>,
}

impl<S> Place<S> {
    const NOWHERE: Self = Self { offset: 0, write: None };

    fn at(offset: u32) -> Self {
        Self { offset, write: None }
    }
}

/// Where the slots of a service lie.
pub(super) struct Slots {
    /// How many, in the ring and in the history alike.
    pub len: u32,
    pub ring: Place<u16>,
    pub history: Place<Owners>,
    pub handover: Handover,
}

/// What a history is to the one before.
#[derive(Clone, Copy, Default)]
pub(super) struct Handover {
    /// It is another one.
    pub has_changed: bool,
    /// Slots that have another owner.
    pub moved: usize,
}

impl Slots {
    const NONE: Self = Self {
        len: 0,
        ring: Place::NOWHERE,
        history: Place::NOWHERE,
        handover: Handover { has_changed: false, moved: 0 },
    };
}

/// A slab at this point of the changes.
pub(super) struct Room<'a, S: Hash + Eq> {
    mirror: &'a SlabMirror<S>,
    gaps: Gaps,
    capacity: u32,
    /// The offsets of what is written by the changes up to here.
    new: HashMap<Arc<[S]>, u32>,
}

impl<'a, S: Clone + Hash + Eq> Room<'a, S> {
    pub(super) fn new(mirror: &'a SlabMirror<S>, capacity: u32) -> Self {
        Self { mirror, gaps: mirror.gaps().clone(), capacity, new: HashMap::new() }
    }

    /// Where these slots are, or could be; None if there is no room.
    fn find(&self, slots: Arc<[S]>) -> Option<Place<S>> {
        let known = self.mirror.offset_of(&slots).or_else(|| self.new.get(&slots).copied());
        if let Some(offset) = known {
            return Some(Place::at(offset));
        }
        let offset = self.gaps.find(slots.len() as u32, self.capacity)?;
        Some(Place { offset, write: Some(slots) })
    }

    /// Takes the place. Returns what has to be written there.
    fn take(&mut self, Place { offset, write }: Place<S>) -> Option<(u32, Arc<[S]>)> {
        let slots = write?;
        self.gaps.reserve(offset, slots.len() as u32);
        self.new.insert(slots.clone(), offset);
        Some((offset, slots))
    }
}

/// Where histories lie, and what they are to those before, by what they are made from.
pub(super) type Advanced = HashMap<HistoryBasis, (u32, Handover)>;

#[derive(PartialEq, Eq, Hash)]
pub(super) struct HistoryBasis {
    /// Offset and length of the history before; 0 if there was none.
    before: (u32, u32),
    /// The ring that is taken for the last one, where nobody has followed them.
    resumed: Option<Vec<u16>>,
    ring: Vec<u16>,
    keepers: Vec<u16>,
}

impl DiffBuilder<'_> {
    /// Finds room for a service's slots, or keeps the old ones.
    pub(super) fn find_slots(
        &mut self,
        key: &ServiceKey,
        old: Option<&Service>,
        planned: &PlannedService,
    ) -> Result<Slots, Shortage> {
        self.place_slots(key, old, planned).or_else(|shortage| {
            // By this flag, the directors and nodes of a ring treat its members in another way.
            let is_bare = |flags| flags & service_flags::BARE;
            let Some(old) = old.filter(|old| is_bare(old.flags) == is_bare(planned.flags)) else {
                return Err(shortage);
            };
            self.diff.shortages.push(shortage);
            if !self.mirror.has_slots(old) {
                // Of damaged maps: nobody knows where they lead.
                return Ok(Slots::NONE);
            }
            Ok(Slots {
                len: old.ring_len,
                ring: Place::at(old.ring_offset),
                history: Place::at(old.history_offset),
                handover: Handover::default(),
            })
        })
    }

    /// Finds room for a service's ring, if this machine is a director, and for its history,
    /// if it is a node that keeps one.
    fn place_slots(
        &mut self,
        key: &ServiceKey,
        old: Option<&Service>,
        planned: &PlannedService,
    ) -> Result<Slots, Shortage> {
        let ring = self.ring_ids(planned);
        // Without owners that it could ask, the node does not ask.
        let owners = self.owner_ids(planned, &planned.ring).filter(|ids| !ids.is_empty());
        // A director looks into the slab whether or not the service has a place there.
        let has_none = match &ring {
            Some(ids) => ids.is_empty(),
            None => owners.is_none(),
        };
        if has_none {
            return Ok(Slots::NONE);
        }
        let mut slots = Slots { len: planned.ring.len() as u32, ..Slots::NONE };
        if let Some(ids) = ring {
            let place = self.rings.find(ids.into());
            slots.ring = place.ok_or_else(|| Shortage::Rings(planned.name.clone()))?;
        }
        if let Some(ids) = owners {
            let place = self.place_history(key, old, planned, ids);
            (slots.history, slots.handover) =
                place.ok_or_else(|| Shortage::Histories(planned.name.clone()))?;
        }
        Ok(slots)
    }

    /// Has every backend that the service needs on this machine an id?
    pub(super) fn has_all_backends(&self, planned: &PlannedService) -> bool {
        let members = planned.members.iter().map(|(key, _)| key).filter(|_| self.plan.is_director);
        // The keepers are among the owners.
        members.chain(planned.owners.iter()).all(|key| self.backend_ids.contains_key(key))
    }

    /// The place of the history of a service whose slots these own from now on, and what it is to the
    /// one before. None: there is no room.
    fn place_history(
        &mut self,
        key: &ServiceKey,
        old: Option<&Service>,
        planned: &PlannedService,
        ring: Vec<u16>,
    ) -> Option<(Place<Owners>, Handover)> {
        let known = old.and_then(|old| Some((old, self.mirror.history_of(old)?)));
        let is_followed = known.is_some() && self.mirror.written.contains_key(key);
        let resumed = if is_followed { None } else { self.owner_ids(planned, &planned.without_me) };
        let before = known.map_or((0, 0), |(old, _)| (old.history_offset, old.ring_len));
        // Of those for whom there is no room, nobody here can ask.
        let keepers = planned.keepers.iter().filter_map(|key| self.backend_ids.get(key).copied()).collect();
        let basis = HistoryBasis { before, resumed, ring, keepers };
        if let Some((offset, handover)) = self.advanced.get(&basis) {
            return Some((Place::at(*offset), *handover));
        }
        let is_alive = |id: u16| !self.gone.contains(&id);
        let found = known.map_or(&[][..], |(_, owners)| &**owners);
        let before = history::resume(found, basis.resumed.as_deref().unwrap_or_default(), is_alive);
        let next = history::advance(&before, &basis.ring, &basis.keepers, is_alive);
        let has_changed = known.is_none_or(|(_, owners)| **owners != *next);
        let handover = Handover { has_changed, moved: history::moved(found, &basis.ring) };
        let place = self.histories.find(next.into())?;
        if place.write.is_none() {
            self.advanced.insert(basis, (place.offset, handover));
        }
        Some((place, handover))
    }

    /// Takes the room that was found.
    pub(super) fn write_slots(&mut self, ring: Place<u16>, history: Place<Owners>) {
        let ring = self.rings.take(ring).map(|(offset, slots)| Op::WriteRing { offset, slots });
        let history = self.histories.take(history);
        let history = history.map(|(offset, owners)| Op::WriteHistory { offset, owners });
        self.diff.slots.extend(ring.into_iter().chain(history));
    }

    /// Does the service's history name a backend that is about to be cleared?
    pub(super) fn has_gone_owner(&self, key: &ServiceKey) -> bool {
        let service = self.mirror.services.get(key);
        service.is_some_and(|service| self.names_gone.contains(&service.history_offset))
    }

    /// The ring by which this machine sends; None if it is no director.
    fn ring_ids(&self, planned: &PlannedService) -> Option<Vec<u16>> {
        let members = || planned.members.iter().map(|(key, _)| *key);
        self.plan.is_director.then(|| self.slot_ids(members(), &planned.live))
    }

    /// The owners of a ring's slots; None if this machine keeps no former owners.
    fn owner_ids(&self, planned: &PlannedService, ring: &Ring) -> Option<Vec<u16>> {
        let has_owners = !planned.owners.is_empty();
        has_owners.then(|| self.slot_ids(planned.owners.iter().copied(), ring))
    }

    /// The ring's slots as ids of `BACKENDS`; `keys` are those of its members. Slots of
    /// members for which there is no room go to heirs, as those of the dead do: a slot that
    /// names nobody would drop its flows. Empty if there is room for none.
    fn slot_ids(&self, keys: impl Iterator<Item = BackendKey>, ring: &Ring) -> Vec<u16> {
        let ids: Vec<Option<u16>> = keys.map(|key| self.backend_ids.get(&key).copied()).collect();
        if let Some(ids) = ids.iter().copied().collect::<Option<Vec<u16>>>() {
            return ring.iter().map(|member| ids[usize::from(member)]).collect();
        }
        let id = |member: u16| ids[usize::from(member)];
        let slots: Vec<u16> = ring.iter().collect();
        let with_heirs = heirs::living_ring(&slots, |member| id(member).is_some());
        with_heirs.unwrap_or_default().into_iter().filter_map(id).collect()
    }
}

/// The offsets of the histories that name any of these.
pub(super) fn histories_that_name(backends: &BTreeSet<u16>, mirror: &Mirror) -> BTreeSet<u32> {
    if backends.is_empty() {
        return BTreeSet::new();
    }
    let names_any = |owners: &Owners| owners.ids.iter().any(|id| backends.contains(id));
    let named = mirror.histories.named().filter(|(_, slots)| slots.iter().any(names_any));
    named.map(|(offset, _)| offset).collect()
}
