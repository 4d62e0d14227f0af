//! What the controller keeps of Services and Nodes.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use k8s_openapi::{
    api::core::v1::{self, LoadBalancerIngress},
    apimachinery::pkg::apis::meta::v1::{Condition, ManagedFieldsEntry, ObjectMeta},
};

use super::{
    NAME,
    refusal::Refusal,
    request::{self, Request, read_request},
};
use crate::objects::{
    model::Wish,
    source::{self, Identified, Kind, ObjectRef, Rank},
    translate::{NODE_ADDRESS, TranslateConfig, reason_not_ours, sharing_terms},
};

/// The condition that tells whether a Service has the addresses that it asks for.
pub const CONDITION: &str = "trigon.dev/AddressAssigned";

#[derive(Clone, PartialEq, Debug)]
pub enum Object {
    Service(Arc<Service>),
    Node(Node),
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
    pub status: Status,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Status {
    pub ingress: Vec<LoadBalancerIngress>,
    pub condition: Option<Condition>,
    /// Something in it is ours, by `metadata.managedFields`.
    pub is_managed: bool,
}

/// The addresses of a Node, by any name.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    pub this: ObjectRef,
    pub addresses: BTreeSet<IpAddr>,
}

impl Identified for Object {
    fn object_ref(&self) -> ObjectRef {
        match self {
            Self::Service(service) => service.this().clone(),
            Self::Node(node) => node.this.clone(),
            Self::Other(this) => this.clone(),
        }
    }
}

impl Object {
    pub fn of_service(object: v1::Service, options: TranslateConfig) -> Self {
        let status = Status::of(&object);
        let spec = object.spec.as_ref();
        let is_balancer = spec.and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
        if !is_balancer && !status.is_managed {
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
        Self::Service(Arc::new(Service {
            uid,
            version,
            is_ours,
            request,
            families,
            terms: sharing_terms(&reduced),
            ports: ports_of(&reduced),
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
        Self::Node(Node { this: ObjectRef::from_metadata(Kind::Node, &object.metadata), addresses })
    }
}

impl Service {
    pub fn this(&self) -> &ObjectRef {
        &self.rank.object
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
        let conditions = status.conditions.iter().flatten();
        Self {
            ingress: balancer.and_then(|balancer| balancer.ingress.clone()).unwrap_or_default(),
            condition: conditions.clone().find(|condition| condition.type_ == CONDITION).cloned(),
            is_managed: object.metadata.managed_fields.iter().flatten().any(is_of_ours),
        }
    }
}

fn is_of_ours(entry: &ManagedFieldsEntry) -> bool {
    let status = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:status"));
    let has_fields = |field| status.is_some_and(|status| status.get(field).is_some());
    entry.manager.as_deref() == Some(NAME) && (has_fields("f:loadBalancer") || has_fields("f:conditions"))
}

fn ports_of(service: &source::Service) -> Vec<(String, i32)> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter());
    ports.map(|port| (port.protocol.as_deref().unwrap_or("TCP").to_owned(), port.port)).collect()
}
