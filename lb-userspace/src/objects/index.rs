//! All objects that a source has reported, and the desired state that results.
//!
//! Synchronous and lazy: a change only marks what it touches; asking for the
//! cluster translates what is marked. So ten thousand objects that arrive at
//! once cost one translation each, and one that changes later costs one.
//!
//! An object whose present version is not good, by itself or together with others, keeps its last
//! good version, and nobody else is concerned.
mod announced;
mod claims;
mod nodes;
mod services;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use announced::Vips;
use claims::Claims;
use nodes::NodeVersions;
use services::{Choice, ServiceVersions};

use crate::objects::{
    model::{Cluster, Frontend, PinnedSettings, Problem},
    source::{Change, Kind, Object, ObjectRef, Origin},
    translate::{self, Context, TranslateConfig},
};

/// How often Nodes and Services are settled by turns, at most: what is left then waits for the next change.
const MAX_ROUNDS: usize = 8;

#[derive(Default)]
pub struct Index {
    options: TranslateConfig,
    /// What an earlier agent has in the maps, for Services that had no valid settings yet.
    pinned: BTreeMap<Frontend, PinnedSettings>,

    /// Kinds of which all that there was is here.
    synced: BTreeSet<Kind>,
    origins: HashMap<ObjectRef, Origin>,
    services: ServiceVersions,
    nodes: NodeVersions,
    /// All that is about announcing.
    announcing: translate::AnnouncingObjects,

    /// Services to translate again.
    touched: BTreeSet<ObjectRef>,
    /// Services that did not get a frontend, to try again when its claims change.
    waiting: BTreeMap<Frontend, BTreeSet<ObjectRef>>,
    nodes_touched: bool,
    announcing_touched: bool,

    /// How often a Service in the data path has asked for something else.
    requests: u64,
    claims: Claims,
    vips: Vips,
    announcing_problems: Vec<Problem>,
    service_problems: BTreeMap<ObjectRef, Vec<Problem>>,
    cluster: Arc<Cluster>,
}

impl Index {
    pub fn new(options: TranslateConfig) -> Self {
        Self { options, ..Self::default() }
    }

    /// An index that starts with the last result for announcements: an object that
    /// is not good any more keeps its version in it.
    #[cfg(test)]
    pub fn with_announcing(
        options: TranslateConfig,
        announcing: Arc<crate::objects::model::Announcing>,
    ) -> Self {
        let cluster = Arc::new(Cluster { announcing, ..Cluster::default() });
        Self { options, cluster, announcing_touched: true, ..Self::default() }
    }

    /// Services whose settings are not valid from the start on are served by what the maps tell of them.
    pub fn adopt_pinned(&mut self, pinned: BTreeMap<Frontend, PinnedSettings>) {
        self.pinned = pinned;
    }

    /// Was all that there was put, of every kind?
    pub fn is_synced(&self) -> bool {
        self.synced.len() == Kind::ALL.len()
    }

    /// Applies the changes that a source reports.
    pub fn apply_changes(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Put(object, origin) => self.apply(object, origin),
                Change::Gone(object) => self.delete(&object),
                Change::Synced(kind) => drop(self.synced.insert(kind)),
            }
        }
    }

    /// An object is there, or has changed.
    pub fn apply(&mut self, object: Object, origin: Option<Origin>) {
        let this = object.object_ref();
        match origin {
            Some(origin) => drop(self.origins.insert(this.clone(), origin)),
            None => drop(self.origins.remove(&this)),
        }
        match object {
            Object::Service(service) => {
                self.requests += u64::from(self.services.asks_for_more(&this, &service));
                if self.services.put_service(&this, service) {
                    self.touched.insert(this);
                }
            }
            Object::EndpointSlice(slice) => {
                self.touched.extend(self.services.put_slice(&this, slice));
            }
            Object::Secret(_)
            | Object::AddressPool(_)
            | Object::BgpPeer(_)
            | Object::BgpAdvertisement(_)
            | Object::L2Advertisement(_)
            | Object::BfdProfile(_)
            | Object::Community(_)
            | Object::Unreadable(_) => {
                if self.announcing.get(&this) != Some(&object) {
                    self.announcing.insert(this, object);
                    self.announcing_touched = true;
                }
            }
            Object::Node(node) => self.nodes_touched |= self.nodes.put(&this, &node, self.options),
        }
    }

    /// An object is gone.
    pub fn delete(&mut self, object: &ObjectRef) {
        self.origins.remove(object);
        match object.kind {
            Kind::Service => {
                self.services.remove_service(object);
                self.touched.insert(object.clone());
            }
            Kind::EndpointSlice => {
                self.touched.extend(self.services.remove_slice(object));
            }
            Kind::Node => {
                self.nodes.remove(&object.name);
                self.nodes_touched = true;
            }
            Kind::Secret
            | Kind::AddressPool
            | Kind::BgpPeer
            | Kind::BgpAdvertisement
            | Kind::L2Advertisement
            | Kind::BfdProfile
            | Kind::Community => {
                self.announcing.remove(object);
                self.announcing_touched = true;
            }
            // Agents write them, and read none.
            Kind::AgentReport => {}
        }
    }

    /// How often a Service in the data path has asked for something else than before.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// What is wrong, as of the last [`Index::cluster`], with objects other than those about
    /// announcing.
    pub fn faults(&self) -> Vec<Problem> {
        let of_services = self.service_problems.values().flatten();
        let problems = self.nodes.problems().iter().chain(of_services).cloned();
        problems.chain(self.claims.problems()).map(|problem| self.locate(problem)).collect()
    }

    /// What is wrong with objects about announcing.
    pub fn refused(&self) -> Vec<Problem> {
        self.announcing_problems.iter().map(|problem| self.locate(problem.clone())).collect()
    }

    /// Adds `file:line` to a problem of an object.
    pub fn locate(&self, problem: Problem) -> Problem {
        let origin = problem.object.parse().ok().and_then(|object: ObjectRef| self.origins.get(&object));
        match origin {
            Some(origin) => origin.locate_problem(problem),
            None => problem,
        }
    }

    /// The desired state.
    pub fn cluster(&mut self) -> &Arc<Cluster> {
        // A Node may wait for the end of endpoints or for an address that a Service gives up, and the
        // other way round.
        for _ in 0..MAX_ROUNDS {
            let has_changed = std::mem::take(&mut self.nodes_touched) && self.settle_nodes();
            if !self.touched.is_empty() {
                self.settle_services();
                self.nodes_touched = self.are_nodes_freed();
            } else if !has_changed {
                self.drop_pinned();
                if !self.nodes_touched {
                    break;
                }
            }
        }
        if std::mem::take(&mut self.announcing_touched) {
            self.translate_announcing();
        }
        &self.cluster
    }

    /// Drops what was adopted for Services that have settings of their own by now, or are not there.
    fn drop_pinned(&mut self) {
        if !self.is_synced() {
            return;
        }
        let Self { pinned, claims, services, nodes, nodes_touched, .. } = self;
        pinned.retain(|frontend, _| {
            let stays = claims.winner_of(frontend).is_some_and(|service| !services.had_settings(service));
            *nodes_touched |= !stays && nodes.is_in_vain(frontend.vip);
            stays
        });
    }

    fn context(&self) -> Context<'_> {
        Context { nodes: self.nodes.known(), options: self.options, pinned: &self.pinned }
    }

    /// Returns whether anything has changed for Services.
    fn settle_nodes(&mut self) -> bool {
        let announced = &self.cluster.announced;
        let vip_owner = |address: IpAddr| {
            announced.get(&address)?.wishes.keys().next().map(|service| service.to_string())
        };
        let has_endpoints = |node: &str| self.services.are_on_node(node);
        let is_vip =
            |vip| announced.contains_key(&vip) || self.pinned.range(Frontend::all_of(vip)).next().is_some();
        let changes = self.nodes.settle(has_endpoints, vip_owner, is_vip);
        let on_changed = changes.names.iter().flat_map(|node| self.services.on_node(node).cloned());
        self.touched.extend(on_changed);
        if !changes.addresses.is_empty() {
            // A VIP may have been, or be no more, the address of a Node.
            self.touched.extend(self.service_problems.keys().cloned());
            self.touched.extend(self.vips.services_of(&changes.addresses));
        }
        if *self.nodes.usable() != self.cluster.nodes {
            Arc::make_mut(&mut self.cluster).nodes = self.nodes.usable().clone();
            // Announcements select nodes by their labels.
            self.announcing_touched = true;
        }
        !changes.names.is_empty() || !changes.addresses.is_empty()
    }

    /// After Services have changed: may a Node have what it had not, or go?
    fn are_nodes_freed(&mut self) -> bool {
        let vips = self.vips.take_changed();
        vips.into_iter().any(|vip| self.nodes.is_in_vain(vip))
            || self.nodes.leftovers().any(|node| !self.services.are_on_node(node))
    }

    fn settle_services(&mut self) {
        let mut choices = BTreeMap::new();
        for service in std::mem::take(&mut self.touched) {
            self.choose(service, &mut choices);
        }
        let changed: Vec<_> = self.claims.changed().iter().copied().collect();
        let waiting: BTreeSet<_> =
            changed.iter().filter_map(|frontend| self.waiting.remove(frontend)).flatten().collect();
        for service in waiting {
            if !choices.contains_key(&service) {
                self.choose(service, &mut choices);
            }
        }
        while self.fall_back_losers(&mut choices) {}
        for frontend in self.claims.settle() {
            self.set_service(frontend);
            self.set_passed(frontend);
        }
        for (service, choice) in choices {
            self.set_choice(service, choice);
        }
    }

    fn choose(&mut self, service: ObjectRef, choices: &mut BTreeMap<ObjectRef, Option<Choice>>) {
        let choice = self.services.choose(&service, self.context());
        match &choice {
            Some(choice) => self.claims.replace_claims(&choice.rank, choice.translated.claims.clone()),
            None => self.claims.remove_claims(&service),
        }
        choices.insert(service, choice);
    }

    /// A Service that does not get what it asks for, as another has it, keeps what it had. That may
    /// be what yet another asks for. Returns whether there was such a Service.
    fn fall_back_losers(&mut self, choices: &mut BTreeMap<ObjectRef, Option<Choice>>) -> bool {
        let mut has_changed = false;
        for loser in self.claims.new_losers() {
            let Some(Some(choice)) = choices.get_mut(&loser) else { continue };
            let Some(mut last) = self.services.fall_back(choice, self.context()) else {
                continue;
            };
            let lost = self.claims.problems_of(&loser);
            self.claims.replace_claims(&last.rank, last.translated.claims.clone());
            // What it asks for all the same is told by the claims.
            let asked: BTreeSet<_> = self.claims.frontends_of(&loser).copied().collect();
            last.problems = std::mem::take(&mut choice.problems);
            for (frontend, problem) in lost {
                self.waiting.entry(frontend).or_default().insert(loser.clone());
                if !asked.contains(&frontend) {
                    last.problems.push(problem);
                }
            }
            *choice = last;
            has_changed = true;
        }
        has_changed
    }

    /// Puts into the cluster who gets a frontend.
    fn set_service(&mut self, frontend: Frontend) {
        let (old, new) = (self.cluster.services.get(&frontend), self.claims.winning_service(&frontend));
        if old == new {
            return;
        }
        let services = &mut Arc::make_mut(&mut self.cluster).services;
        match new {
            Some(service) => drop(services.insert(frontend, Arc::clone(service))),
            None => drop(services.remove(&frontend)),
        }
    }

    /// The same, if kube-proxy is to carry it.
    fn set_passed(&mut self, frontend: Frontend) {
        let old = self.cluster.passed.get(&frontend);
        let new = self.claims.passed_to(&frontend).map(ObjectRef::full_name);
        if old.map(|name| &**name) == new.as_deref() {
            return;
        }
        let passed = &mut Arc::make_mut(&mut self.cluster).passed;
        match new {
            Some(name) => drop(passed.insert(frontend, name.into())),
            None => drop(passed.remove(&frontend)),
        }
    }

    /// What else is in effect of a Service. None: there is no such Service.
    fn set_choice(&mut self, service: ObjectRef, choice: Option<Choice>) {
        if let Some(choice) = &choice {
            let lost = self.claims.problems_of(&service);
            self.services.accept(choice, lost.is_empty());
            for (frontend, _) in lost {
                self.waiting.entry(frontend).or_default().insert(service.clone());
            }
        }
        let (wishes, problems) =
            choice.map(|choice| (choice.translated.wishes, choice.problems)).unwrap_or_default();
        self.vips.replace_wishes(&service, wishes, &mut self.cluster);
        if problems.is_empty() {
            self.service_problems.remove(&service);
        } else {
            self.service_problems.insert(service, problems);
        }
    }

    fn translate_announcing(&mut self) {
        let before = &self.cluster.announcing;
        let (now, problems) = translate::announcing(&self.announcing, &self.cluster.nodes, before);
        self.announcing_problems = problems;
        if now != **before {
            Arc::make_mut(&mut self.cluster).announcing = Arc::new(now);
        }
    }
}
