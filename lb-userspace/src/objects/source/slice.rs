//! EndpointSlices, reduced to what is used of them: there are many, and most of what is in them
//! is about Pods.

use k8s_openapi::api::discovery::v1::{self, EndpointConditions, EndpointPort};

use super::{kind::Kind, object::ObjectRef};

/// The label by which an EndpointSlice names its Service.
pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// What is kept of an EndpointSlice.
#[derive(Clone, PartialEq, Debug)]
pub struct EndpointSlice {
    pub this: ObjectRef,
    /// The Service that it says it belongs to.
    pub service: Option<ObjectRef>,
    pub address_type: String,
    pub endpoints: Box<[Endpoint]>,
    pub ports: Vec<EndpointPort>,
}

/// What is kept of an endpoint.
#[derive(Clone, PartialEq, Debug)]
pub struct Endpoint {
    pub addresses: Box<[Box<str>]>,
    pub conditions: EndpointConditions,
    pub node_name: Option<Box<str>>,
}

impl From<v1::EndpointSlice> for EndpointSlice {
    fn from(slice: v1::EndpointSlice) -> Self {
        let this = ObjectRef::from_metadata(Kind::EndpointSlice, &slice.metadata);
        let service = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_LABEL));
        Self {
            service: service.map(|name| ObjectRef::new(Kind::Service, &this.namespace, name)),
            this,
            address_type: slice.address_type,
            endpoints: slice.endpoints.unwrap_or_default().into_iter().map(Endpoint::from).collect(),
            ports: slice.ports.unwrap_or_default(),
        }
    }
}

impl From<v1::Endpoint> for Endpoint {
    fn from(endpoint: v1::Endpoint) -> Self {
        Self {
            addresses: endpoint.addresses.into_iter().map(Box::from).collect(),
            conditions: endpoint.conditions.unwrap_or_default(),
            node_name: endpoint.node_name.map(Box::from),
        }
    }
}
