//! Services with their EndpointSlices: which version of each is in effect.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    iter,
    sync::Arc,
};

use crate::objects::{
    model::Problem,
    source::{EndpointSlice, Kind, ObjectRef, Rank, Service},
    translate::{self, Context, Translated},
};

#[derive(Default)]
pub struct ServiceVersions {
    services: HashMap<ObjectRef, Versions<Service>>,
    /// Services that were in effect by settings of their own, in whatever version.
    had_settings: HashSet<ObjectRef>,
    slices: HashMap<ObjectRef, Versions<EndpointSlice>>,
    /// The slices of each Service, whether or not there is such a Service.
    slices_of: HashMap<ObjectRef, Vec<ObjectRef>>,
    /// How many endpoints of each Service are on each node, in all versions that may be in effect.
    on_node: HashMap<Arc<str>, BTreeMap<ObjectRef, usize>>,
}

struct Versions<T> {
    latest: Arc<T>,
    /// The last one that was in effect without a problem.
    good: Option<Arc<T>>,
}

impl<T> Versions<T> {
    /// The latest one, or, if it is held back, the last good one.
    fn choose(&self, is_held_back: bool) -> &T {
        self.good.as_ref().filter(|_| is_held_back).unwrap_or(&self.latest)
    }

    /// The last good one, if that is another one than the latest.
    fn other_good(&self) -> Option<&Arc<T>> {
        self.good.as_ref().filter(|good| !Arc::ptr_eq(good, &self.latest))
    }

    /// Those that may be in effect.
    fn all(&self) -> impl Iterator<Item = &Arc<T>> {
        iter::once(&self.latest).chain(self.other_good())
    }
}

/// What of a Service is in effect.
pub struct Choice {
    pub rank: Rank,
    pub translated: Translated,
    /// What is wrong with the latest versions.
    pub problems: Vec<Problem>,
    /// Objects of which the last good version is in effect, and not the latest.
    held_back: BTreeSet<ObjectRef>,
}

impl ServiceVersions {
    /// Does a Service in the data path, before or from now on, ask for something else than before?
    pub fn asks_for_more(&self, this: &ObjectRef, now: &Service) -> bool {
        let before = self.services.get(this).map(|versions| &*versions.latest);
        let is_known = before.is_some_and(|before| translate::asks_the_same(before, now));
        !is_known && before.into_iter().chain([now]).any(translate::asks_for_data_path)
    }

    /// Returns whether anything is new.
    pub fn put_service(&mut self, this: &ObjectRef, service: Arc<Service>) -> bool {
        put(&mut self.services, this, service)
    }

    pub fn remove_service(&mut self, this: &ObjectRef) {
        self.services.remove(this);
        self.had_settings.remove(this);
    }

    pub fn contains(&self, service: &ObjectRef) -> bool {
        self.services.contains_key(service)
    }

    /// Was a version of it in effect by settings of its own?
    pub fn had_settings(&self, service: &ObjectRef) -> bool {
        self.had_settings.contains(service)
    }

    /// Returns the Services that are touched: its own, and that of its former version.
    pub fn put_slice(&mut self, this: &ObjectRef, slice: Arc<EndpointSlice>) -> BTreeSet<ObjectRef> {
        let before = self.slices.get(this);
        if before.is_some_and(|before| before.latest == slice) {
            return BTreeSet::new();
        }
        let old = before.and_then(|before| before.latest.service.clone());
        let new = slice.service.clone();
        // The last good version is of no use to another Service.
        let good = before.filter(|_| old == new).and_then(|before| before.good.clone());
        if old != new {
            if let Some(owner) = &old {
                self.unlink(owner, this);
            }
            if let Some(owner) = &new {
                let slices = self.slices_of.entry(owner.clone());
                slices.or_insert_with(|| Vec::with_capacity(1)).push(this.clone());
            }
        }
        self.set_slice(this, Some(Versions { latest: slice, good }));
        old.into_iter().chain(new).collect()
    }

    /// Returns the Service that is touched.
    pub fn remove_slice(&mut self, this: &ObjectRef) -> Option<ObjectRef> {
        let owner = self.slices.get(this)?.latest.service.clone();
        self.set_slice(this, None);
        let owner = owner?;
        self.unlink(&owner, this);
        Some(owner)
    }

    fn unlink(&mut self, owner: &ObjectRef, slice: &ObjectRef) {
        let Some(slices) = self.slices_of.get_mut(owner) else { return };
        slices.retain(|other| other != slice);
        if slices.is_empty() {
            self.slices_of.remove(owner);
        }
    }

    fn set_slice(&mut self, this: &ObjectRef, versions: Option<Versions<EndpointSlice>>) {
        for slice in versions.iter().flat_map(Versions::all) {
            self.count_endpoints(slice, |count| *count += 1);
        }
        let before = match versions {
            Some(versions) => self.slices.insert(this.clone(), versions),
            None => self.slices.remove(this),
        };
        for slice in before.iter().flat_map(Versions::all) {
            self.count_endpoints(slice, |count| *count -= 1);
        }
    }

    fn count_endpoints(&mut self, slice: &EndpointSlice, count: fn(&mut usize)) {
        let Some(owner) = &slice.service else { return };
        for node in slice.endpoints.iter().filter_map(|endpoint| endpoint.node_name.as_deref()) {
            if !self.on_node.contains_key(node) {
                self.on_node.insert(node.into(), BTreeMap::new());
            }
            let Some(services) = self.on_node.get_mut(node) else { continue };
            let entry = services.entry(owner.clone()).or_default();
            count(entry);
            if *entry == 0 {
                services.remove(owner);
            }
            if services.is_empty() {
                self.on_node.remove(node);
            }
        }
    }

    /// The Services with endpoints on a node.
    pub fn on_node(&self, node: &str) -> impl Iterator<Item = &ObjectRef> {
        self.on_node.get(node).into_iter().flat_map(BTreeMap::keys)
    }

    /// Are there endpoints of Services on a node?
    pub fn are_on_node(&self, node: &str) -> bool {
        self.on_node(node).any(|service| self.contains(service))
    }

    /// What is in effect of a Service, if there is one: its objects as they are now, but those that
    /// have a problem as they were last without. An object that was never good is used as far as it is.
    pub fn choose(&self, this: &ObjectRef, context: Context<'_>) -> Option<Choice> {
        self.hold_back(this, BTreeSet::new(), context)
    }

    /// The same, with the Service itself as it was good last. None: it never was, or is so already.
    pub fn fall_back(&self, choice: &Choice, context: Context<'_>) -> Option<Choice> {
        let this = &choice.rank.object;
        if !self.has_better(this) || choice.held_back.contains(this) {
            return None;
        }
        let mut held_back = choice.held_back.clone();
        held_back.insert(this.clone());
        self.hold_back(this, held_back, context)
    }

    /// Holds back more of the objects for as long as what is left has problems.
    fn hold_back(
        &self,
        this: &ObjectRef,
        mut held_back: BTreeSet<ObjectRef>,
        context: Context<'_>,
    ) -> Option<Choice> {
        let mut problems = None;
        loop {
            let translated = self.translate(this, &held_back, context)?;
            problems.get_or_insert_with(|| translated.problems.clone());
            let more = self.to_hold_back(this, &translated, &held_back);
            if more.is_empty() {
                let rank = Rank::new(self.services.get(this)?.latest.born, this.clone());
                return Some(Choice { rank, translated, problems: problems.unwrap_or_default(), held_back });
            }
            held_back.extend(more);
        }
    }

    /// The objects with a problem, other than what is left out; if these have no better version, the Service, which may ask
    /// something else of its slices; at last all slices. A Service that is held back can't do with
    /// slices for what it is now.
    fn to_hold_back(
        &self,
        this: &ObjectRef,
        translated: &Translated,
        held_back: &BTreeSet<ObjectRef>,
    ) -> Vec<ObjectRef> {
        let can_be = |object: &ObjectRef| !held_back.contains(object) && self.has_better(object);
        let unmatched = translated.unmatched.iter().filter(|_| held_back.contains(this)).cloned();
        let unmatched: Vec<_> = unmatched.filter(can_be).collect();
        let mut faults = translated.problems.iter().filter(|problem| !problem.left_out).peekable();
        if faults.peek().is_none() || !unmatched.is_empty() {
            return unmatched;
        }
        let named = faults.filter_map(|problem| problem.object.parse().ok());
        let slices = self.slices_of.get(this).into_iter().flatten().cloned();
        let choices = [named.collect(), vec![this.clone()], slices.collect::<Vec<_>>()];
        let mut choices = choices.into_iter().map(|all| all.into_iter().filter(can_be).collect::<Vec<_>>());
        choices.find(|choice| !choice.is_empty()).unwrap_or_default()
    }

    /// Is there a last good version, and is it not the latest?
    fn has_better(&self, object: &ObjectRef) -> bool {
        match object.kind {
            Kind::Service => self.services.get(object).is_some_and(|all| all.other_good().is_some()),
            _ => self.slices.get(object).is_some_and(|all| all.other_good().is_some()),
        }
    }

    fn translate(
        &self,
        this: &ObjectRef,
        held_back: &BTreeSet<ObjectRef>,
        context: Context<'_>,
    ) -> Option<Translated> {
        let service = self.services.get(this)?.choose(held_back.contains(this));
        let slices = self.slices_of.get(this).into_iter().flatten();
        let slices =
            slices.filter_map(|slice| Some(self.slices.get(slice)?.choose(held_back.contains(slice))));
        Some(translate::service(service, slices, context))
    }

    /// The choice is in effect: what is used of it in the latest version, without a problem, is good.
    /// `wins_all`: the Service gets all that it asks for.
    pub fn accept(&mut self, choice: &Choice, wins_all: bool) {
        let faults = choice.translated.problems.iter().filter(|problem| !problem.left_out);
        let faulty: BTreeSet<_> = faults.map(|problem| &*problem.object).collect();
        let is_good =
            |object: &ObjectRef| !choice.held_back.contains(object) && !faulty.contains(&*object.to_string());
        let this = &choice.rank.object;
        if choice.translated.has_settings {
            self.had_settings.insert(this.clone());
        }
        if let Some(service) = self.services.get_mut(this).filter(|_| wins_all && is_good(this)) {
            service.good = Some(Arc::clone(&service.latest));
        }
        // Where the data path does not need them, nobody has looked at them.
        let slices = self.slices_of.get(this).into_iter().flatten().filter(|_| choice.translated.uses_slices);
        let good: Vec<_> = slices.filter(|slice| is_good(slice)).cloned().collect();
        for slice in good {
            let Some(versions) = self.slices.get_mut(&slice) else { continue };
            let before = versions.other_good().cloned();
            versions.good = Some(Arc::clone(&versions.latest));
            if let Some(before) = before {
                self.count_endpoints(&before, |count| *count -= 1);
            }
        }
    }
}

fn put<T: PartialEq>(all: &mut HashMap<ObjectRef, Versions<T>>, this: &ObjectRef, latest: Arc<T>) -> bool {
    match all.get_mut(this) {
        Some(versions) if versions.latest == latest => false,
        Some(versions) => {
            versions.latest = latest;
            true
        }
        None => all.insert(this.clone(), Versions { latest, good: None }).is_none(),
    }
}
