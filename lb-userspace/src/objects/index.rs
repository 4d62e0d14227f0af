//! All objects that a source has reported, and the desired state that results.
//!
//! Synchronous and lazy: a change only marks what it touches; asking for the
//! cluster translates what is marked. So ten thousand objects that arrive at
//! once cost one translation each, and one that changes later costs one.
mod announced;
mod claims;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use announced::Vips;
use claims::Claims;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};

use crate::objects::{
    model::{self, Cluster, Problem},
    source::{Change, Kind, Object, ObjectRef, Rank},
    translate::{self, Nodes, SERVICE_LABEL, TranslateConfig},
};

#[derive(Default)]
pub struct Index {
    options: TranslateConfig,

    services: BTreeMap<ObjectRef, Arc<Service>>,
    slices: BTreeMap<ObjectRef, Arc<EndpointSlice>>,
    /// The slices of each Service, whether or not there is such a Service.
    slices_of: BTreeMap<ObjectRef, BTreeSet<ObjectRef>>,
    nodes: BTreeMap<ObjectRef, NodeEntry>,
    /// By how many loads Services and Nodes are known, and in which of them each came.
    loads: u64,
    seen: BTreeMap<ObjectRef, u64>,
    /// All that is about announcing.
    announcing: translate::AnnouncingObjects,

    /// Services to translate again.
    touched: BTreeSet<ObjectRef>,
    nodes_touched: bool,
    announcing_touched: bool,

    known_nodes: Nodes,
    claims: Claims,
    vips: Vips,
    announcing_problems: Vec<Problem>,
    node_problems: Vec<Problem>,
    service_problems: BTreeMap<ObjectRef, Vec<Problem>>,
    cluster: Arc<Cluster>,
}

/// A translated Node; the object itself is large and not needed any more.
#[derive(PartialEq)]
struct NodeEntry {
    rank: Rank,
    node: Option<Arc<model::Node>>,
    problems: Vec<Problem>,
}

impl Index {
    pub fn new(options: TranslateConfig) -> Self {
        Self { options, ..Self::default() }
    }

    /// An index that starts with the last result for announcements: an object that
    /// is not good any more keeps its version in it.
    #[cfg(test)]
    pub fn with_announcing(options: TranslateConfig, announcing: Arc<model::Announcing>) -> Self {
        let cluster = Arc::new(Cluster { announcing, ..Cluster::default() });
        Self { options, cluster, announcing_touched: true, ..Self::default() }
    }

    /// An object is there, or has changed.
    pub fn apply(&mut self, object: Object) {
        let this = object.object_ref();
        match object {
            Object::Service(service) => {
                self.note_seen(&this);
                self.services.insert(this.clone(), service);
                self.touched.insert(this);
            }
            Object::EndpointSlice(slice) => self.put_slice(this, Some(slice)),
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
            Object::Node(node) => {
                let rank = Rank::new(&node.metadata, self.note_seen(&this), this.clone());
                let (node, problems) = translate::node(&node);
                let entry = NodeEntry { rank, node: node.map(Arc::new), problems };
                // Most updates of a Node only renew its heartbeat.
                if self.nodes.get(&this) != Some(&entry) {
                    self.nodes.insert(this, entry);
                    self.nodes_touched = true;
                }
            }
        }
    }

    /// In which load it came.
    fn note_seen(&mut self, object: &ObjectRef) -> u64 {
        *self.seen.entry(object.clone()).or_insert(self.loads)
    }

    /// An object is gone.
    pub fn delete(&mut self, object: &ObjectRef) {
        self.seen.remove(object);
        match object.kind {
            Kind::Service => {
                self.services.remove(object);
                self.touched.insert(object.clone());
            }
            Kind::EndpointSlice => self.put_slice(object.clone(), None),
            Kind::Node => {
                self.nodes.remove(object);
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
        }
    }

    /// Applies the changes that a source reports.
    pub fn apply_changes(&mut self, changes: Vec<Change>) {
        self.loads += 1;
        for change in changes {
            match change {
                Change::Put(object) => self.apply(object),
                Change::Gone(object) => self.delete(&object),
            }
        }
    }

    /// What is wrong, as of the last [`Index::cluster`], with objects other than those about
    /// announcing: these affect nothing else, and such an object keeps its last good version.
    pub fn faults(&self) -> Vec<Problem> {
        let nodes = self.nodes.values().flat_map(|entry| &entry.problems).chain(&self.node_problems);
        nodes.chain(self.service_problems.values().flatten()).cloned().chain(self.claims.problems()).collect()
    }

    /// Replaces all objects by these.
    pub fn replace_objects(&mut self, objects: Vec<Object>) {
        self.loads += 1;
        self.seen.clear();
        self.touched.extend(std::mem::take(&mut self.services).into_keys());
        self.slices.clear();
        self.touched.extend(std::mem::take(&mut self.slices_of).into_keys());
        self.nodes.clear();
        self.nodes_touched = true;
        self.announcing.clear();
        self.announcing_touched = true;
        for object in objects {
            self.apply(object);
        }
    }

    /// The desired state, and what is wrong with the objects.
    pub fn cluster(&mut self) -> (Arc<Cluster>, Vec<Problem>) {
        if std::mem::take(&mut self.nodes_touched) {
            self.join_nodes();
        }
        for service in std::mem::take(&mut self.touched) {
            self.translate_service(service);
        }
        if std::mem::take(&mut self.announcing_touched) {
            self.translate_announcing();
        }
        let problems = self.faults().into_iter().chain(self.announcing_problems.iter().cloned()).collect();
        (Arc::clone(&self.cluster), problems)
    }

    fn translate_announcing(&mut self) {
        let before = &self.cluster.announcing;
        let (now, problems) = translate::announcing(&self.announcing, &self.cluster.nodes, before);
        self.announcing_problems = problems;
        if now != **before {
            Arc::make_mut(&mut self.cluster).announcing = Arc::new(now);
        }
    }

    /// Stores or removes a slice; its Service, and that of its former version, are touched.
    fn put_slice(&mut self, this: ObjectRef, slice: Option<Arc<EndpointSlice>>) {
        let new_owner = slice.as_deref().and_then(owning_service);
        let old = match slice {
            Some(slice) => self.slices.insert(this.clone(), slice),
            None => self.slices.remove(&this),
        };
        if let Some(old_owner) = old.as_deref().and_then(owning_service) {
            if let Some(slices) = self.slices_of.get_mut(&old_owner) {
                slices.remove(&this);
                if slices.is_empty() {
                    self.slices_of.remove(&old_owner);
                }
            }
            self.touched.insert(old_owner);
        }
        if let Some(new_owner) = new_owner {
            self.slices_of.entry(new_owner.clone()).or_default().insert(this);
            self.touched.insert(new_owner);
        }
    }

    fn join_nodes(&mut self) {
        let mut entries: Vec<_> = self.nodes.values().collect();
        entries.sort_unstable_by_key(|entry| &entry.rank);
        let entries = entries.into_iter().map(|entry| (&entry.rank.object.name, entry.node.as_ref()));
        let (known, usable, problems) = translate::join_nodes(entries);
        self.node_problems = problems;
        if known != self.known_nodes {
            self.known_nodes = known;
            self.touched.extend(self.services.keys().cloned());
        }
        if usable != self.cluster.nodes {
            Arc::make_mut(&mut self.cluster).nodes = usable;
            // Announcements select nodes by their labels.
            self.announcing_touched = true;
        }
    }

    fn translate_service(&mut self, this: ObjectRef) {
        let service = self.services.get(&this);
        let slices = self.slices_of.get(&this).into_iter().flatten();
        let slices = slices.filter_map(|slice| self.slices.get(slice)).map(|slice| &**slice);
        let (claims, wishes, problems) = match service {
            None => (None, Vec::new(), Vec::new()),
            Some(service) => {
                let translated = translate::service(service, slices, &self.known_nodes, self.options);
                let seen = self.seen.get(&this).copied().unwrap_or_default();
                let rank = Rank::new(&service.metadata, seen, this.clone());
                (Some((rank, translated.claims)), translated.wishes, translated.problems)
            }
        };
        self.vips.replace_wishes(&this, wishes, &mut self.cluster);
        for frontend in self.claims.replace_claims(&this, claims) {
            let (old, new) = (self.cluster.services.get(&frontend), self.claims.winning_service(&frontend));
            if old == new {
                continue;
            }
            let services = &mut Arc::make_mut(&mut self.cluster).services;
            match new {
                Some(service) => drop(services.insert(frontend, Arc::clone(service))),
                None => drop(services.remove(&frontend)),
            }
        }
        if problems.is_empty() {
            self.service_problems.remove(&this);
        } else {
            self.service_problems.insert(this, problems);
        }
    }
}

/// The Service that a slice says it belongs to.
pub fn owning_service(slice: &EndpointSlice) -> Option<ObjectRef> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_LABEL)?;
    Some(ObjectRef::new(Kind::Service, slice.metadata.namespace.as_deref().unwrap_or_default(), name))
}
