//! The controller's state: what happened goes in, what to write comes out, and time is an argument.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::jiff::Timestamp;

use super::{
    addresses::{Addresses, Verdict, Wanted},
    object::{Object, Service},
    programmed::{self, Notice, Programmed},
    queue::Queue,
    refusal::Refusal,
    schedule::Schedule,
    target::{Need, Target},
    write::{Failure, Write},
};
use crate::objects::source::{Change, ObjectRef};

/// After how long a condition gets other words, if only the words are others.
const REWORD: Duration = Duration::from_secs(60);
/// The same of all Services together: there are many, each agent reads each write, and little depends on how many
/// machines there are by now.
const REWORD_ANY: Duration = Duration::from_secs(1);
/// With more Services than that, those that are well keep the numbers of machines that they were told: each machine that
/// comes or goes changes them in all.
const MOST_RECOUNTED: usize = 1000;
/// For how long it is waited for agents, before a Service that has no condition yet gets one that says so.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// For how long one that does not lead keeps what there is to tell: who led before may not have come to it.
const GAP: Duration = Duration::from_secs(20);
/// For how long the same is not told again by an Event.
const SAID: Duration = Duration::from_secs(600);

pub struct Engine {
    addresses: Addresses,
    programmed: Programmed,
    queue: Queue,
    /// When to look at the words of a Service again: agents that report bring up only those that they decide about.
    looks: Schedule,
    /// When to change mere words, and when the last of these is due.
    rewordings: Schedule,
    last_rewording: Option<Instant>,
    /// To be told by Events, and since when.
    notices: VecDeque<(Instant, Notice)>,
    /// What was told lately, by Service and reason.
    said: HashMap<(ObjectRef, String), Instant>,
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
            programmed: Programmed::default(),
            queue: Queue::new(seed, now),
            looks: Schedule::default(),
            rewordings: Schedule::default(),
            last_rewording: None,
            notices: VecDeque::new(),
            said: HashMap::new(),
            leads_until: None,
            decided_by: HashMap::new(),
            ahead: HashMap::new(),
        }
    }

    /// Takes what the API server has told.
    pub fn apply_changes(&mut self, changes: Vec<Change<Object>>, now: Instant) {
        let are_reports_listed = self.programmed.are_reports_listed();
        for change in changes {
            if !self.is_overtaken(&change) {
                self.apply(change);
            }
        }
        let begun = self.programmed.take_begun();
        // What there was at the start has been told by somebody before, or stands in a condition.
        if are_reports_listed {
            self.notices.extend(begun.into_iter().map(|notice| (now, notice)));
        }
        if !self.leads(now) {
            self.forget_old_notices(now);
        }
        self.settle(now);
    }

    /// From when somebody leads, everything is looked at; until then, nothing is to be written.
    pub fn set_leadership(&mut self, leads_until: Option<Instant>, now: Instant) {
        let (led, leads) = (self.leads(now), leads_until.is_some_and(|until| now < until));
        self.leads_until = leads_until;
        if leads && !led {
            self.forget_old_notices(now);
            let all: Vec<_> = self.addresses.services().cloned().collect();
            all.iter().for_each(|this| self.enqueue(this, now));
        } else if !leads {
            self.queue.clear();
            self.looks.clear();
            self.rewordings.clear();
            self.last_rewording = None;
        }
    }

    pub fn leads(&self, now: Instant) -> bool {
        self.leads_until.is_some_and(|until| now < until)
    }

    /// When there is something to write.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let notice = (!self.notices.is_empty()).then(|| self.queue.next_token());
        let all = [self.queue.due(), self.looks.due(), self.rewordings.due(), notice];
        all.into_iter().flatten().min().filter(|_| self.leads(now))
    }

    /// What an Event is to tell now.
    pub fn next_notice(&mut self, now: Instant) -> Option<(Arc<Service>, Notice)> {
        if !self.leads(now) || self.notices.is_empty() {
            return None;
        }
        self.said.retain(|_, at| now < *at + SAID);
        while let Some((_, notice)) = self.notices.front() {
            let key = (notice.service.clone(), notice.reason.clone());
            let service =
                self.addresses.service(&notice.service).filter(|service| service.to_program.is_some());
            let service = service.filter(|_| !self.said.contains_key(&key)).map(Arc::clone);
            if service.is_some() && !self.queue.take_token(now) {
                return None;
            }
            let (_, notice) = self.notices.pop_front()?;
            if let Some(service) = service {
                self.said.insert(key, now);
                return Some((service, notice));
            }
        }
        None
    }

    /// What to write now; [`Self::note_written`] is to follow. `wall`: what stands in conditions.
    pub fn next_write(&mut self, now: Instant, wall: Timestamp) -> Option<Write> {
        let give_up = self.leads_until.filter(|until| now < *until)?;
        self.look(now);
        loop {
            let this = self.queue.begin(now)?;
            let Some(service) = self.addresses.service(&this) else {
                self.queue.end(&this, now);
                continue;
            };
            let version = service.version.clone();
            let target = self.target(service);
            if self.need(&target, service) == Need::Nothing {
                self.queue.end(&this, now);
                if target.programmed.is_some() {
                    self.looks.add(&this, now + REWORD);
                }
                continue;
            }
            let event = new_refusal(service, &target.addresses);
            if event.is_some() {
                self.queue.count_request(now);
            }
            let write = Write::new(service, &target, event, give_up, wall);
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
                self.apply(Change::Put(object, None));
                self.settle(now);
            }
            // The watch has told it already, and perhaps what came after it; or it will tell what is there instead.
            _ => self.enqueue(this, now),
        }
    }

    fn apply(&mut self, change: Change<Object>) {
        self.programmed.apply(&change);
        self.addresses.apply(change);
    }

    fn settle(&mut self, now: Instant) {
        let mut touched = self.addresses.settle();
        touched.append(&mut self.programmed.take_touched());
        if self.leads(now) {
            touched.iter().for_each(|this| self.enqueue(this, now));
        }
    }

    fn target(&self, service: &Service) -> Target {
        let programmed = if self.programmed.are_reports_listed() {
            self.programmed.verdict(service.this())
        } else {
            service.told().map(programmed::Verdict::of)
        };
        Target { addresses: self.addresses.wanted(service), programmed }
    }

    fn need(&self, target: &Target, service: &Service) -> Need {
        match target.need(&service.status) {
            Need::OtherNumbers if self.programmed.len() > MOST_RECOUNTED => Need::Nothing,
            need => need,
        }
    }

    fn enqueue(&mut self, this: &ObjectRef, now: Instant) {
        let service = self.addresses.service(this);
        let target = service.map(|service| (self.target(service), service));
        let need = target.as_ref().map_or(Need::Nothing, |(target, service)| self.need(target, service));
        let has_words = target.is_some_and(|(target, _)| target.programmed.is_some());
        let is_urgent = need == Need::Addresses;
        if need != Need::Now && !is_urgent {
            self.queue.remove(this);
        }
        if !self.leads(now) {
            return;
        }
        match need {
            Need::Now | Need::Addresses => self.queue.add(this, is_urgent, now),
            Need::FirstWord => self.looks.add(this, now + FIRST_WORD),
            Need::OtherNumbers | Need::OtherWords => self.looks.add(this, now + REWORD),
            Need::Nothing if has_words => self.looks.add(this, now + REWORD),
            Need::Nothing => self.looks.remove(this),
        }
    }

    /// Looks at Services of which it is time to say in other words how they are.
    fn look(&mut self, now: Instant) {
        while let Some(this) = self.looks.take_due(now) {
            let Some(service) = self.addresses.service(&this) else { continue };
            let target = self.target(service);
            match self.need(&target, service) {
                Need::OtherNumbers | Need::OtherWords => self.reword_in_turn(&this, now),
                Need::Nothing if target.programmed.is_none() => {}
                Need::Nothing => self.looks.add(&this, now + REWORD),
                need => self.queue.add(&this, need == Need::Addresses, now),
            }
        }
        while let Some(this) = self.rewordings.take_due(now) {
            self.queue.add(&this, false, now);
        }
    }

    fn reword_in_turn(&mut self, this: &ObjectRef, now: Instant) {
        if self.rewordings.contains(this) {
            return;
        }
        let due = self.last_rewording.map_or(now, |last| now.max(last + REWORD_ANY));
        self.last_rewording = Some(due);
        self.rewordings.add(this, due);
    }

    fn forget_old_notices(&mut self, now: Instant) {
        while self.notices.front().is_some_and(|(since, _)| *since + GAP < now) {
            self.notices.pop_front();
        }
    }

    /// Is it older than what we have written ourselves? Versions of a Service grow.
    fn is_overtaken(&mut self, change: &Change<Object>) -> bool {
        let this = match change {
            Change::Put(Object::Service(service), _) => service.this(),
            Change::Put(Object::Other(this), _) | Change::Gone(this) => this,
            Change::Put(Object::Node(_) | Object::Report(_), _) | Change::Synced(_) => return false,
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
    let condition = service.status.assigned.as_ref();
    let is_told = condition.is_some_and(|condition| verdict.is_told(condition));
    (!is_told).then(|| refusal.clone())
}
