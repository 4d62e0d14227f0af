//! What all watches tell, gathered until somebody takes it. Nothing here asks the API server or the clock.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    mem,
};

use k8s_openapi::jiff::Timestamp;

use super::{
    answer::{self, Answer, KindFault},
    watch::Event,
};
use crate::objects::{
    model::Problem,
    source::{
        kind::Kind,
        object::{Identified, Object, ObjectRef},
        update::{Change, Update},
    },
};

pub struct Gatherer<O = Object> {
    /// Of the API server.
    address: String,
    kinds: BTreeMap<Kind, Followed>,
    /// The lists take long.
    is_slow: bool,
    /// What is wrong with objects that cannot be read.
    unreadable: BTreeMap<ObjectRef, Vec<Problem>>,
    changes: Vec<Change<O>>,
    /// There is something else to tell than changes.
    has_other_problems: bool,
}

/// What is known of the objects of one kind. Only their names and the highest version: the objects are the index's.
#[derive(Default)]
struct Followed {
    known: HashSet<ObjectRef>,
    /// While all are listed: those that were.
    listed: Option<Listed>,
    is_synced: bool,
    fault: Option<KindFault>,
    /// Why some object is not known, since the last list that is complete.
    undecodable: Option<String>,
    /// All versions of objects that there are have been told, up to this one. A watch tells them in order, a list does
    /// not.
    version: u64,
}

impl Followed {
    /// While there is an object that cannot be read, nobody knows what is in its versions.
    fn note_version(&mut self, version: u64) {
        if self.undecodable.is_none() {
            self.version = self.version.max(version);
        }
    }
}

#[derive(Default)]
struct Listed {
    names: HashSet<ObjectRef>,
    /// Why some object is not among them.
    undecodable: Option<String>,
    version: u64,
}

impl<O: Identified> Gatherer<O> {
    /// `kinds`: those that are watched.
    pub fn new(address: String, kinds: &[Kind]) -> Self {
        Self {
            address,
            kinds: kinds.iter().map(|kind| (*kind, Followed::default())).collect(),
            is_slow: false,
            unreadable: BTreeMap::new(),
            changes: Vec::new(),
            has_other_problems: false,
        }
    }

    pub fn note_event(&mut self, kind: Kind, event: Event<O>) {
        match event {
            Event::Listing => self.begin_list(kind),
            Event::Listed => self.end_list(kind),
            Event::Put(object, version) => {
                let this = object.object_ref();
                self.note_version(kind, version);
                self.has_other_problems |= self.unreadable.remove(&this).is_some();
                self.put(this, object);
            }
            Event::Unreadable(object, problems) => {
                let this = object.object_ref();
                self.unreadable.insert(this.clone(), problems);
                self.has_other_problems = true;
                self.put(this, object);
            }
            Event::Undecodable(why) => {
                self.has_other_problems = true;
                let followed = self.kinds.entry(kind).or_default();
                if let Some(listed) = &mut followed.listed {
                    listed.undecodable = Some(why.clone());
                }
                followed.undecodable = Some(why);
            }
            Event::Gone(this) => {
                self.kinds.entry(kind).or_default().known.remove(&this);
                self.forget(this);
            }
        }
    }

    /// The server has answered a request for objects of a kind, or has not.
    pub fn note_answer(&mut self, kind: Kind, answer: &Answer, now: Timestamp) {
        let fault = &mut self.kinds.entry(kind).or_default().fault;
        let after = answer.kind_fault(fault.as_ref(), now);
        self.has_other_problems |= after != *fault;
        *fault = after;
    }

    /// The lists should have been here by now.
    pub fn lose_patience(&mut self) {
        self.is_slow = true;
        self.has_other_problems |= self.slow_problem().is_some();
    }

    /// Is there anything to take? Before all kinds are listed, only what is wrong.
    pub fn has_news(&self) -> bool {
        self.has_other_problems || (!self.changes.is_empty() && self.is_synced())
    }

    /// So much has changed that it should be taken before there is more.
    pub fn is_full(&self) -> bool {
        const MANY: usize = 1000;
        self.changes.len() >= MANY && self.is_synced()
    }

    pub fn take(&mut self) -> Update<O> {
        self.has_other_problems = false;
        let changes = if self.is_synced() { mem::take(&mut self.changes) } else { Vec::new() };
        let refused = self.unreadable.values().flatten().cloned().collect();
        let seen = self.kinds.get(&Kind::Service).filter(|_| self.is_synced());
        let seen = seen.map_or(0, |followed| followed.version);
        Update { changes, faults: self.faults(), refused, seen }
    }

    fn is_synced(&self) -> bool {
        self.kinds.iter().all(|(kind, followed)| followed.is_synced || kind.is_optional())
    }

    fn note_version(&mut self, kind: Kind, version: Option<u64>) {
        let followed = self.kinds.entry(kind).or_default();
        let version = version.unwrap_or_default();
        match &mut followed.listed {
            Some(listed) => listed.version = listed.version.max(version),
            None => followed.note_version(version),
        }
    }

    fn put(&mut self, this: ObjectRef, object: O) {
        let followed = self.kinds.entry(this.kind).or_default();
        if let Some(listed) = &mut followed.listed {
            listed.names.insert(this.clone());
        }
        followed.known.insert(this);
        self.changes.push(Change::Put(object, None));
    }

    fn forget(&mut self, this: ObjectRef) {
        self.has_other_problems |= self.unreadable.remove(&this).is_some();
        self.changes.push(Change::Gone(this));
    }

    fn begin_list(&mut self, kind: Kind) {
        let followed = self.kinds.entry(kind).or_default();
        followed.listed = Some(Listed::default());
    }

    /// What was not listed is gone; unless that may be what could not be decoded.
    fn end_list(&mut self, kind: Kind) {
        let followed = self.kinds.entry(kind).or_default();
        let Some(Listed { mut names, undecodable, version }) = followed.listed.take() else { return };
        if undecodable.is_some() {
            names.extend(followed.known.iter().cloned());
        }
        self.has_other_problems |= undecodable != followed.undecodable;
        followed.undecodable = undecodable;
        if followed.undecodable.is_none() {
            // Even one below the version before: that of a server that was restored from a backup.
            followed.version = version;
        }
        let known = mem::replace(&mut followed.known, names);
        let mut gone: Vec<_> = known.into_iter().filter(|this| !followed.known.contains(this)).collect();
        gone.sort_unstable();
        let is_first = !mem::replace(&mut followed.is_synced, true);
        gone.into_iter().for_each(|this| self.forget(this));
        if is_first {
            self.changes.push(Change::Synced(kind));
            // Who waits for lists waits for one less, or for none.
            self.has_other_problems |= self.is_slow;
        }
    }

    fn faults(&self) -> Vec<Problem> {
        let of_kinds =
            self.kinds.iter().filter_map(|(kind, followed)| Some((*kind, followed.fault.as_ref()?)));
        let mut faults = answer::problems(&self.address, &of_kinds.collect(), self.kinds.len());
        faults.extend(
            self.kinds.iter().filter_map(|(kind, followed)| {
                Some(undecodable_problem(*kind, followed.undecodable.as_ref()?))
            }),
        );
        if faults.is_empty() && self.is_slow {
            faults.extend(self.slow_problem());
        }
        faults
    }

    /// None: all kinds are listed.
    fn slow_problem(&self) -> Option<Problem> {
        let missing: Vec<_> = self
            .kinds
            .iter()
            .filter(|(_, followed)| !followed.is_synced)
            .map(|(kind, _)| kind.name())
            .collect();
        (!missing.is_empty()).then(|| Problem {
            object: format!("API server {}", self.address),
            field: "list".to_owned(),
            message: format!("has not listed all objects yet: {} are missing", missing.join(", ")),
            remedy: "wait; if it takes minutes, look at the API server and at the way to it".to_owned(),
            ..Problem::default()
        })
    }
}

fn undecodable_problem(kind: Kind, why: &str) -> Problem {
    Problem {
        object: format!("kind {kind}"),
        field: "watch".to_owned(),
        message: format!("an object cannot be decoded ({why}); what was there stays in effect"),
        remedy: "look for what is unusual in an object of this kind, and report it to Trigon".to_owned(),
        ..Problem::default()
    }
}
