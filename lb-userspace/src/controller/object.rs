//! What the controller keeps of Services, Nodes and AgentReports.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use k8s_openapi::{
    api::core::v1::{self, LoadBalancerIngress},
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta},
};

use super::{
    NAME,
    refusal::Refusal,
    request::{self, Request, read_request},
};
use crate::objects::{
    crds::{AgentReport, AgentReportSpec},
    model::Wish,
    source::{self, Identified, Kind, ObjectRef, Rank},
    translate::{NODE_ADDRESS, TranslateConfig, asks_for_data_path, reason_not_ours, sharing_terms},
};

/// The condition that tells whether a Service has the addresses that it asks for.
pub const ASSIGNED: &str = "trigon.dev/AddressAssigned";
/// The condition that tells whether machines have programmed it as it is now.
pub const PROGRAMMED: &str = "trigon.dev/Programmed";

#[derive(Clone, PartialEq, Debug)]
pub enum Object {
    Service(Arc<Service>),
    Node(Node),
    Report(Report),
    /// A Service that has no address and asks for none, as far as we are concerned.
    Other(ObjectRef),
}

/// A Service of `type: LoadBalancer`, or one that has a status of ours.
#[derive(Clone, PartialEq, Debug)]
pub struct Service {
    pub rank: Rank,
    pub uid: String,
    /// `metadata.resourceVersion`
    pub version: String,
    pub is_ours: bool,
    /// Of a Service that is ours; otherwise it is empty.
    pub request: Result<Request, Refusal>,
    pub families: Vec<String>,
    pub terms: Wish,
    /// Protocol and port.
    pub ports: Vec<(String, i32)>,
    /// What agents are to program; None: nothing.
    pub to_program: Option<Arc<source::Service>>,
    pub status: Status,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Status {
    pub ingress: Vec<LoadBalancerIngress>,
    /// [`ASSIGNED`]
    pub assigned: Option<Condition>,
    /// [`PROGRAMMED`]
    pub programmed: Option<Condition>,
    pub owned: Owned,
}

/// What in a status is ours, by `metadata.managedFields`.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Owned {
    /// The addresses, or the condition about them.
    pub addresses: bool,
    /// The condition [`PROGRAMMED`].
    pub programmed: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    pub this: ObjectRef,
    pub uid: String,
    /// By any name.
    pub addresses: BTreeSet<IpAddr>,
    /// Nobody says that it is not.
    pub is_ready: bool,
}

/// What the agent of a Node has programmed; it has the name of the Node.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    pub this: ObjectRef,
    /// The Node that it was written for: a new one of the same name may be another machine.
    pub node_uid: String,
    pub spec: AgentReportSpec,
}

impl Identified for Object {
    fn object_ref(&self) -> ObjectRef {
        match self {
            Self::Service(service) => service.this().clone(),
            Self::Node(node) => node.this.clone(),
            Self::Report(report) => report.this.clone(),
            Self::Other(this) => this.clone(),
        }
    }
}

impl Object {
    pub fn of_service(object: v1::Service, options: TranslateConfig) -> Self {
        let status = Status::of(&object);
        let spec = object.spec.as_ref();
        let is_balancer = spec.and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
        if !is_balancer && status.owned == Owned::default() {
            return Self::Other(ObjectRef::from_metadata(Kind::Service, &object.metadata));
        }
        let families = spec.and_then(|spec| spec.ip_families.clone()).unwrap_or_default();
        let load_balancer_ip = spec.and_then(|spec| spec.load_balancer_ip.clone());
        let [uid, version] = [&object.metadata.uid, &object.metadata.resource_version]
            .map(|field| field.clone().unwrap_or_default());
        let reduced = source::Service::from(object);
        let is_ours = reduced.spec.as_ref().is_some_and(|spec| reason_not_ours(spec, options).is_none());
        let request = if is_ours {
            read_request(&reduced.annotations, load_balancer_ip.as_deref(), &families)
        } else {
            Ok(Request::default())
        };
        let is_to_program = is_ours && asks_for_data_path(&reduced) && !status.ingress.is_empty();
        let to_program = is_to_program.then(|| Arc::new(reduced.clone()));
        Self::Service(Arc::new(Service {
            uid,
            version,
            is_ours,
            request,
            families,
            terms: sharing_terms(&reduced),
            ports: ports_of(&reduced),
            to_program,
            status,
            rank: Rank::new(reduced.born, reduced.this),
        }))
    }

    pub fn of_node(object: &v1::Node) -> Self {
        let ObjectMeta { annotations, .. } = &object.metadata;
        let annotated =
            annotations.iter().filter_map(|all| all.get(NODE_ADDRESS)).flat_map(|list| list.split(','));
        let listed = object.status.iter().filter_map(|status| status.addresses.as_ref()).flatten();
        let texts = listed.map(|listed| listed.address.as_str()).chain(annotated);
        // Names are among them.
        let addresses = texts.filter_map(|text| text.trim().parse().ok()).collect();
        let conditions = object.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let mut readiness = conditions.filter(|condition| condition.type_ == "Ready");
        let is_ready = readiness.all(|condition| condition.status == "True");
        let this = ObjectRef::from_metadata(Kind::Node, &object.metadata);
        Self::Node(Node { this, uid: object.metadata.uid.clone().unwrap_or_default(), addresses, is_ready })
    }

    pub fn of_report(object: AgentReport) -> Self {
        let this = ObjectRef::from_metadata(Kind::AgentReport, &object.metadata);
        let owners = object.metadata.owner_references.into_iter().flatten();
        let node_uid = owners.map(|owner| owner.uid).next().unwrap_or_default();
        Self::Report(Report { this, node_uid, spec: object.spec })
    }
}

impl Service {
    pub fn this(&self) -> &ObjectRef {
        &self.rank.object
    }

    /// What its status says of machines, if that is ours and still has a meaning.
    pub fn told(&self) -> Option<&Condition> {
        let is_ours = self.status.owned.programmed && self.to_program.is_some();
        self.status.programmed.as_ref().filter(|_| is_ours)
    }

    /// The addresses in its status.
    pub fn held(&self) -> impl Iterator<Item = IpAddr> {
        self.status.ingress.iter().filter_map(|ingress| ingress.ip.as_ref()?.parse().ok())
    }

    pub fn holds(&self, address: IpAddr) -> bool {
        self.held().any(|held| held == address)
    }

    /// The addresses that it asks for, if that makes sense.
    pub fn asked(&self) -> &[IpAddr] {
        self.request.as_ref().map(|request| request.addresses.as_slice()).unwrap_or_default()
    }

    /// Are its addresses ours to give?
    pub fn has_request(&self) -> bool {
        self.request.as_ref().map_or(true, |request| !request.addresses.is_empty())
    }

    pub fn has_family(&self, address: IpAddr) -> bool {
        request::has_family(&self.families, address)
    }
}

impl Status {
    fn of(object: &v1::Service) -> Self {
        let Some(status) = &object.status else { return Self::default() };
        let balancer = status.load_balancer.as_ref();
        let condition = |type_: &str| {
            let mut conditions = status.conditions.iter().flatten();
            conditions.find(|condition| condition.type_ == type_).cloned()
        };
        Self {
            ingress: balancer.and_then(|balancer| balancer.ingress.clone()).unwrap_or_default(),
            assigned: condition(ASSIGNED),
            programmed: condition(PROGRAMMED),
            owned: Owned::of(object),
        }
    }
}

impl Owned {
    fn of(object: &v1::Service) -> Self {
        let entries = object.metadata.managed_fields.iter().flatten();
        let ours = entries.filter(|entry| entry.manager.as_deref() == Some(NAME));
        let statuses: Vec<_> = ours.filter_map(|entry| entry.fields_v1.as_ref()?.0.get("f:status")).collect();
        let has_condition = |type_| {
            let key = condition_key(type_);
            statuses.iter().any(|status| status["f:conditions"].get(&key).is_some())
        };
        let has_ingress = statuses.iter().any(|status| status.get("f:loadBalancer").is_some());
        Self { addresses: has_ingress || has_condition(ASSIGNED), programmed: has_condition(PROGRAMMED) }
    }
}

/// The name that a condition has in `metadata.managedFields`.
pub fn condition_key(type_: &str) -> String {
    format!("k:{{\"type\":\"{type_}\"}}")
}

fn ports_of(service: &source::Service) -> Vec<(String, i32)> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter());
    ports.map(|port| (port.protocol.as_deref().unwrap_or("TCP").to_owned(), port.port)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As an API server lists it.
    #[test]
    fn what_is_ours_is_told_by_managed_fields() {
        let owned = |manager: &str, fields| {
            let object = json!({
                "metadata": {"name": "web", "managedFields": [
                    {"manager": manager, "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": fields}},
                ]},
                "status": {},
            });
            Status::of(&serde_json::from_value(object).expect("a Service")).owned
        };
        let programmed =
            json!({"f:conditions": {"k:{\"type\":\"trigon.dev/Programmed\"}": {".": {}, "f:status": {}}}});
        let assigned = json!({"f:conditions": {"k:{\"type\":\"trigon.dev/AddressAssigned\"}": {".": {}}}});
        let ingress = json!({"f:loadBalancer": {"f:ingress": {}}});
        let (nothing, addresses) = (Owned::default(), Owned { addresses: true, programmed: false });
        assert_eq!(owned("somebody", programmed.clone()), nothing);
        assert_eq!(owned(NAME, programmed), Owned { addresses: false, programmed: true });
        assert_eq!(owned(NAME, assigned), addresses);
        assert_eq!(owned(NAME, ingress), addresses);
    }
}
