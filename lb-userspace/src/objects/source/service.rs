//! Services, reduced to what is used of them: there are many, and each would take more room than its
//! ring.

use k8s_openapi::{
    api::core::v1::{self, SessionAffinityConfig},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
    jiff::Timestamp,
};

use super::{kind::Kind, object::ObjectRef};
use crate::objects::model::Labels;

/// What `kubectl apply` has written there: all of the Service once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What is kept of a Service.
#[derive(Clone, PartialEq, Debug)]
pub struct Service {
    pub this: ObjectRef,
    /// When it was created.
    pub born: Option<Timestamp>,
    pub labels: Labels,
    pub annotations: Labels,
    pub spec: Option<ServiceSpec>,
    /// `status.loadBalancer.ingress[].ip`
    pub ingress: Box<[Option<Box<str>>]>,
}

/// What is kept of the specification, under the names of its fields.
#[derive(Clone, PartialEq, Debug)]
pub struct ServiceSpec {
    pub type_: Option<Box<str>>,
    pub load_balancer_class: Option<Box<str>>,
    pub load_balancer_source_ranges: Box<[Box<str>]>,
    pub external_traffic_policy: Option<Box<str>>,
    pub publish_not_ready_addresses: bool,
    pub session_affinity: Option<Box<str>>,
    pub session_affinity_config: Option<SessionAffinityConfig>,
    pub selector: Labels,
    pub ports: Box<[ServicePort]>,
}

impl ServiceSpec {
    /// Is each node to use only the endpoints that are on it?
    pub fn is_local(&self) -> bool {
        self.external_traffic_policy.as_deref() == Some("Local")
    }
}

/// What is kept of a port.
#[derive(Clone, PartialEq, Debug)]
pub struct ServicePort {
    pub name: Option<Box<str>>,
    pub port: i32,
    pub protocol: Option<Box<str>>,
}

impl From<v1::Service> for Service {
    fn from(service: v1::Service) -> Self {
        let this = ObjectRef::from_metadata(Kind::Service, &service.metadata);
        let ObjectMeta { creation_timestamp, labels, mut annotations, .. } = service.metadata;
        if let Some(annotations) = &mut annotations {
            annotations.remove(LAST_APPLIED);
        }
        let balancer = service.status.and_then(|status| status.load_balancer);
        let ingress = balancer.and_then(|balancer| balancer.ingress).unwrap_or_default();
        Self {
            this,
            born: creation_timestamp.map(|time| time.0),
            labels: labels.into(),
            annotations: annotations.into(),
            spec: service.spec.map(ServiceSpec::from),
            ingress: ingress.into_iter().map(|ingress| ingress.ip.map(Box::from)).collect(),
        }
    }
}

impl From<v1::ServiceSpec> for ServiceSpec {
    fn from(spec: v1::ServiceSpec) -> Self {
        let ranges = spec.load_balancer_source_ranges.unwrap_or_default();
        Self {
            type_: spec.type_.map(Box::from),
            load_balancer_class: spec.load_balancer_class.map(Box::from),
            load_balancer_source_ranges: ranges.into_iter().map(Box::from).collect(),
            external_traffic_policy: spec.external_traffic_policy.map(Box::from),
            publish_not_ready_addresses: spec.publish_not_ready_addresses.unwrap_or_default(),
            session_affinity: spec.session_affinity.map(Box::from),
            session_affinity_config: spec.session_affinity_config,
            selector: spec.selector.into(),
            ports: spec.ports.unwrap_or_default().into_iter().map(ServicePort::from).collect(),
        }
    }
}

impl From<v1::ServicePort> for ServicePort {
    fn from(port: v1::ServicePort) -> Self {
        Self { name: port.name.map(Box::from), port: port.port, protocol: port.protocol.map(Box::from) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn service(metadata: Value, spec: Value) -> Service {
        let service: v1::Service =
            serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap();
        service.into()
    }

    #[test]
    fn what_nobody_reads_makes_no_difference() {
        let small = service(
            json!({"name": "a", "annotations": {"trigon.dev/x": "y"}}),
            json!({"ports": [{"name": "p", "port": 80}], "selector": {"app": "a"}}),
        );
        let large = service(
            json!({
                "name": "a", "namespace": "default", "resourceVersion": "7", "managedFields": [{"manager": "m"}],
                "annotations": {LAST_APPLIED: "{}", "trigon.dev/x": "y"},
            }),
            json!({
                "ports": [{"name": "p", "port": 80, "targetPort": 8080, "nodePort": 30_000}],
                "selector": {"app": "a"}, "clusterIP": "10.96.0.1", "ipFamilies": ["IPv4"],
            }),
        );
        assert_eq!(small, large);
        assert_eq!(large.annotations.get("trigon.dev/x"), Some("y"));
    }
}
