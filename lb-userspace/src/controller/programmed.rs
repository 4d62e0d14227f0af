//! Which Services the machines have programmed, as their agents report.
//!
//! A report says up to which version of Services a machine is, and names those that are not as they should be. So a
//! Service is programmed where that version is not below the one in which it last asked for something else, and no
//! exception names it. Services are kept by that version and agents by theirs: news cost the Services that they decide
//! about, whatever there is besides.
//!
//! Agents that report count, as long as their Node is there and nobody says that it is not ready. A machine that has
//! never reported announces nothing, and one that is away is not reached either.

mod fleet;
#[cfg(test)]
mod tests;
mod verdict;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    mem,
    ops::Bound::{Excluded, Included},
    sync::Arc,
};

use self::fleet::{Agent, Fleet};
pub use self::verdict::Verdict;
use super::object::{Node, Object, Service};
use crate::objects::{
    crds::{AgentException, AgentRole},
    source::{self, Change, Kind, ObjectRef},
    translate::asks_the_same,
};

/// The Services in the data path, the agents, and who lacks what.
#[derive(Default)]
pub struct Programmed {
    services: HashMap<ObjectRef, Asked>,
    by_version: BTreeSet<(u64, ObjectRef)>,
    /// All Services that there were at the start are here.
    is_listed: bool,
    are_reports_listed: bool,
    agents: HashMap<Arc<str>, Agent>,
    fleet: Fleet,
    /// By Service and agent, of agents that count.
    exceptions: BTreeMap<ObjectRef, BTreeMap<Arc<str>, Vec<AgentException>>>,
    /// Services that may have another verdict.
    touched: BTreeSet<ObjectRef>,
    begun: Vec<Notice>,
}

/// What a Service asks for, and since which version.
struct Asked {
    version: u64,
    uid: String,
    service: Arc<source::Service>,
}

/// Some machine has begun to have an exception, and was the first to have one of that kind for the Service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    pub service: ObjectRef,
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

impl Programmed {
    pub fn apply(&mut self, change: &Change<Object>) {
        match change {
            Change::Put(Object::Service(service), _) => self.put_service(service),
            Change::Put(Object::Other(this), _) => self.remove_service(this),
            Change::Put(Object::Node(Node { this, uid, is_ready, .. }), _) => {
                self.change_agent(&this.name, |agent| agent.ready_node = is_ready.then(|| uid.clone()));
            }
            Change::Put(Object::Report(report), _) => {
                self.change_agent(&report.this.name, |agent| agent.report = Some(report.clone()));
            }
            Change::Gone(this) => match this.kind {
                Kind::Node => self.change_agent(&this.name, |agent| agent.ready_node = None),
                Kind::AgentReport => self.change_agent(&this.name, |agent| agent.report = None),
                _ => self.remove_service(this),
            },
            Change::Synced(Kind::AgentReport) => {
                self.are_reports_listed = true;
                self.touched.extend(self.services.keys().cloned());
            }
            Change::Synced(kind) => self.is_listed |= *kind == Kind::Service,
        }
    }

    /// Before that, nobody knows what machines tell.
    pub fn are_reports_listed(&self) -> bool {
        self.are_reports_listed
    }

    /// The Services that may have another verdict than before.
    pub fn take_touched(&mut self) -> BTreeSet<ObjectRef> {
        mem::take(&mut self.touched)
    }

    /// What has begun since.
    pub fn take_begun(&mut self) -> Vec<Notice> {
        mem::take(&mut self.begun)
    }

    /// How many Services there are in the data path.
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// None: there is nothing to program of it.
    pub fn verdict(&self, this: &ObjectRef) -> Option<Verdict> {
        let asked = self.services.get(this)?;
        Some(verdict::verdict(asked.version, self.exceptions.get(this), &self.agents, &self.fleet))
    }

    fn put_service(&mut self, service: &Service) {
        let this = service.this();
        let Some(to_program) = &service.to_program else { return self.remove_service(this) };
        self.touched.insert(this.clone());
        let version = service.version.parse().unwrap_or_default();
        let is_true = || service.status.programmed.as_ref().is_some_and(|told| told.status == verdict::TRUE);
        let version = match self.services.get(this) {
            Some(before) if before.uid != service.uid => version,
            Some(before) if asks_the_same(&before.service, to_program) => before.version,
            // Nobody knows since when. What a leader before has found holds until agents tell otherwise.
            None if !self.is_listed && is_true() => 0,
            _ => version,
        };
        if let Some(before) = self.services.get(this).filter(|before| before.version != version) {
            self.by_version.remove(&(before.version, this.clone()));
        }
        self.by_version.insert((version, this.clone()));
        let asked = Asked { version, uid: service.uid.clone(), service: Arc::clone(to_program) };
        self.services.insert(this.clone(), asked);
    }

    fn remove_service(&mut self, this: &ObjectRef) {
        if let Some(asked) = self.services.remove(this) {
            self.by_version.remove(&(asked.version, this.clone()));
            self.touched.insert(this.clone());
        }
    }

    fn change_agent(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Agent)) {
        let mut agent = self.agents.remove(name).unwrap_or_default();
        let before = agent.clone();
        change(&mut agent);
        if agent != before {
            self.settle_fleet(name, &before, &agent);
            self.settle_exceptions(name, before.counted_exceptions(), agent.counted_exceptions());
        }
        if agent != Agent::default() {
            self.agents.insert(Arc::clone(name), agent);
        }
    }

    /// Touches the Services that now have all of a role behind them, or not any more.
    fn settle_fleet(&mut self, name: &Arc<str>, before: &Agent, now: &Agent) {
        let was = AgentRole::ALL.map(|role| self.fleet.of_role(role).state());
        self.fleet.replace(name, before, now);
        let is = AgentRole::ALL.map(|role| self.fleet.of_role(role).state());
        for (was, is) in was.into_iter().zip(is) {
            let (Some(was_least), Some(is_least)) = (was.least, is.least) else {
                if was != is {
                    self.touched.extend(self.services.keys().cloned());
                }
                continue;
            };
            if was.is_complete != is.is_complete {
                self.touched.extend(self.services.keys().cloned());
            }
            let (low, high) = (was_least.min(is_least), was_least.max(is_least));
            if low < high {
                let last = |version| (version, ObjectRef::new(Kind::Service, "\u{10ffff}", ""));
                let between = self.by_version.range((Excluded(last(low)), Included(last(high))));
                self.touched.extend(between.map(|(_, this)| this.clone()));
            }
        }
    }

    fn settle_exceptions(&mut self, name: &Arc<str>, before: &[AgentException], now: &[AgentException]) {
        let (before, now) = (by_service(before), by_service(now));
        let services: BTreeSet<_> = before.keys().chain(now.keys()).cloned().collect();
        for service in services.into_iter().filter(|service| before.get(service) != now.get(service)) {
            self.set_exceptions(&service, name, now.get(&service).cloned().unwrap_or_default());
            self.touched.insert(service);
        }
    }

    fn set_exceptions(&mut self, service: &ObjectRef, name: &Arc<str>, now: Vec<AgentException>) {
        let of_service = self.exceptions.entry(service.clone()).or_default();
        let has = |all: &BTreeMap<Arc<str>, Vec<AgentException>>, reason: &str| {
            all.values().flatten().any(|exception| exception.reason == reason)
        };
        let begun = now.iter().filter(|exception| !has(of_service, &exception.reason));
        self.begun.extend(begun.map(|AgentException { reason, message, .. }| Notice {
            service: service.clone(),
            reason: reason.clone(),
            message: format!("{name}: {message}"),
        }));
        if now.is_empty() {
            of_service.remove(name);
        } else {
            of_service.insert(Arc::clone(name), now);
        }
        if of_service.is_empty() {
            self.exceptions.remove(service);
        }
    }
}

fn by_service(exceptions: &[AgentException]) -> BTreeMap<ObjectRef, Vec<AgentException>> {
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for exception in exceptions {
        let (namespace, name) = exception.service.split_once('/').unwrap_or(("", &exception.service));
        let this = ObjectRef::new(Kind::Service, namespace, name);
        all.entry(this).or_default().push(exception.clone());
    }
    all
}
