//! Services, each with a moment.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use crate::objects::source::ObjectRef;

/// Each Service is there at most once.
#[derive(Debug, Default)]
pub struct Schedule {
    by_time: BTreeSet<(Instant, ObjectRef)>,
    due: HashMap<ObjectRef, Instant>,
}

impl Schedule {
    /// At that moment, or before it, if it is there for an earlier one.
    pub fn add(&mut self, this: &ObjectRef, due: Instant) {
        if self.due.get(this).is_none_or(|before| due < *before) {
            self.remove(this);
            self.due.insert(this.clone(), due);
            self.by_time.insert((due, this.clone()));
        }
    }

    pub fn contains(&self, this: &ObjectRef) -> bool {
        self.due.contains_key(this)
    }

    pub fn remove(&mut self, this: &ObjectRef) {
        if let Some(due) = self.due.remove(this) {
            self.by_time.remove(&(due, this.clone()));
        }
    }

    pub fn clear(&mut self) {
        self.by_time.clear();
        self.due.clear();
    }

    /// By their time.
    pub fn iter(&self) -> impl Iterator<Item = (Instant, &ObjectRef)> {
        self.by_time.iter().map(|(due, this)| (*due, this))
    }

    /// When the first one is due.
    pub fn due(&self) -> Option<Instant> {
        self.by_time.first().map(|(due, _)| *due)
    }

    /// Takes the first one, if it is due.
    pub fn take_due(&mut self, now: Instant) -> Option<ObjectRef> {
        let (_, this) = self.by_time.first().filter(|(due, _)| *due <= now)?.clone();
        self.remove(&this);
        Some(this)
    }
}
