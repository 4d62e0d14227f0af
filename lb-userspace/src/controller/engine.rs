//! The controller's state: what happened goes in, what to write comes out, and time is an argument.

#[cfg(test)]
mod tests;

use std::{collections::HashMap, time::Instant};

use k8s_openapi::jiff::Timestamp;

use super::{
    addresses::{Addresses, Verdict, Wanted},
    object::{Object, Service},
    queue::Queue,
    refusal::Refusal,
    write::{Failure, Write},
};
use crate::objects::source::{Change, ObjectRef};

pub struct Engine {
    addresses: Addresses,
    queue: Queue,
    leads_until: Option<Instant>,
    /// The versions of Services that writes which are under way were decided by.
    decided_by: HashMap<ObjectRef, String>,
    /// The versions that our own writes have made, of Services of which the watch has not told them yet.
    ahead: HashMap<ObjectRef, u64>,
}

impl Engine {
    /// `seed`: for the random part of delays.
    pub fn new(seed: u64, now: Instant) -> Self {
        Self {
            addresses: Addresses::default(),
            queue: Queue::new(seed, now),
            leads_until: None,
            decided_by: HashMap::new(),
            ahead: HashMap::new(),
        }
    }

    /// Takes what the API server has told.
    pub fn apply_changes(&mut self, changes: Vec<Change<Object>>, now: Instant) {
        for change in changes {
            if !self.is_overtaken(&change) {
                self.addresses.apply(change);
            }
        }
        self.settle(now);
    }

    /// From when somebody leads, everything is looked at; until then, nothing is to be written.
    pub fn set_leadership(&mut self, leads_until: Option<Instant>, now: Instant) {
        let (led, leads) = (self.leads(now), leads_until.is_some_and(|until| now < until));
        self.leads_until = leads_until;
        if leads && !led {
            let all: Vec<_> = self.addresses.services().cloned().collect();
            all.iter().for_each(|this| self.enqueue(this, now));
        } else if !leads {
            self.queue.clear();
        }
    }

    pub fn leads(&self, now: Instant) -> bool {
        self.leads_until.is_some_and(|until| now < until)
    }

    /// When there is something to write.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        self.queue.due().filter(|_| self.leads(now))
    }

    /// What to write now; [`Self::note_written`] is to follow. `wall`: what stands in conditions.
    pub fn next_write(&mut self, now: Instant, wall: Timestamp) -> Option<Write> {
        let give_up = self.leads_until.filter(|until| now < *until)?;
        loop {
            let this = self.queue.begin(now)?;
            let Some(service) = self.addresses.service(&this) else {
                self.queue.end(&this, now);
                continue;
            };
            let version = service.version.clone();
            let wanted = self.addresses.wanted(service);
            if wanted.is_met(&service.status) {
                self.queue.end(&this, now);
                continue;
            }
            let event = new_refusal(service, &wanted);
            if event.is_some() {
                self.queue.count_request(now);
            }
            let write = Write::new(service, &wanted, event, give_up, wall);
            self.decided_by.insert(this, version);
            return Some(write);
        }
    }

    /// It was written, and what is there now; or it was not.
    pub fn note_written(&mut self, this: &ObjectRef, result: Result<Object, Failure>, now: Instant) {
        self.queue.end(this, now);
        let decided_by = self.decided_by.remove(this);
        let known = self.addresses.service(this).map(|service| &service.version);
        let is_news = known.is_some() && known == decided_by.as_ref();
        match result {
            Ok(object) if is_news => {
                if let Some(version) = version_of(&object) {
                    self.ahead.insert(this.clone(), version);
                }
                self.addresses.apply(Change::Put(object, None));
                self.settle(now);
            }
            // The watch has told it already, and perhaps what came after it; or it will tell what is there instead.
            _ => self.enqueue(this, now),
        }
    }

    fn settle(&mut self, now: Instant) {
        for this in self.addresses.settle() {
            if self.leads(now) {
                self.enqueue(&this, now);
            }
        }
    }

    fn enqueue(&mut self, this: &ObjectRef, now: Instant) {
        let is_met = self
            .addresses
            .service(this)
            .is_none_or(|service| self.addresses.wanted(service).is_met(&service.status));
        if is_met {
            self.queue.remove(this);
        } else if self.leads(now) {
            self.queue.add(this, now);
        }
    }

    /// Is it older than what we have written ourselves? Versions of a Service grow.
    fn is_overtaken(&mut self, change: &Change<Object>) -> bool {
        let this = match change {
            Change::Put(Object::Service(service), _) => service.this(),
            Change::Put(Object::Other(this), _) | Change::Gone(this) => this,
            Change::Put(Object::Node(_), _) | Change::Synced(_) => return false,
        };
        let Some(ours) = self.ahead.get(this) else { return false };
        let version = match change {
            Change::Put(object, _) => version_of(object),
            _ => None,
        };
        if version.is_some_and(|version| version < *ours) {
            return true;
        }
        self.ahead.remove(this);
        false
    }
}

fn version_of(object: &Object) -> Option<u64> {
    match object {
        Object::Service(service) => service.version.parse().ok(),
        _ => None,
    }
}

/// What an Event is to tell: a refusal that the condition does not tell yet.
fn new_refusal(service: &Service, wanted: &Wanted) -> Option<Refusal> {
    let Wanted::Addresses { verdict: verdict @ Verdict::Refused(refusal), .. } = wanted else { return None };
    let condition = service.status.condition.as_ref();
    let is_told = condition.is_some_and(|condition| verdict.is_told(condition));
    (!is_told).then(|| refusal.clone())
}
