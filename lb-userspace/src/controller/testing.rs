//! An API server's Services and Nodes, for tests: with versions, and with fields that have managers.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::{
    api::core::v1::{self, LoadBalancerIngress, ServiceStatus},
    apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry},
};
use serde_json::{Value, json};

use super::{
    NAME,
    object::{ASSIGNED, Object, PROGRAMMED, condition_key},
    write::{Failure, Write},
};
use crate::objects::{
    crds::{AgentException, AgentReport, AgentReportSpec, AgentRole, ReportedServices},
    source::{Change, Kind, ObjectRef},
    translate::TranslateConfig,
};

#[derive(Default)]
pub struct FakeApi {
    services: BTreeMap<ObjectRef, v1::Service>,
    version: u64,
    pub writes: usize,
}

pub fn this(name: &str) -> ObjectRef {
    ObjectRef::new(Kind::Service, "default", name)
}

/// Ours, of both families, born in that second, with a port 80.
pub fn service(name: &str, born: u8, addresses: &str) -> Value {
    let mut annotations = json!({});
    if !addresses.is_empty() {
        annotations["trigon.dev/load-balancer-ips"] = addresses.into();
    }
    json!({
        "metadata": {
            "name": name, "namespace": "default", "annotations": annotations,
            "creationTimestamp": format!("2026-01-01T00:00:{born:02}Z"),
        },
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "trigon.dev/lb", "ipFamilies": ["IPv4", "IPv6"],
            "ports": [{"port": 80}],
        },
    })
}

pub fn node(name: &str, addresses: &[&str]) -> Change<Object> {
    let addresses: Vec<_> =
        addresses.iter().map(|address| json!({"type": "InternalIP", "address": address})).collect();
    let node = json!({"metadata": {"name": name}, "status": {"addresses": addresses}});
    let node: v1::Node = serde_json::from_value(node).expect("a Node");
    Change::Put(Object::of_node(&node), None)
}

/// The same Service, in the data path.
pub fn dsr(mut service: Value) -> Value {
    service["metadata"]["annotations"]["trigon.dev/dsr"] = "true".into();
    service
}

/// What the agent of a machine reports: its roles, the version that it is at, and exceptions by Service and reason.
pub fn report(name: &str, roles: &[AgentRole], seen: u64, exceptions: &[(&str, &str)]) -> Change<Object> {
    let mut spec = AgentReportSpec {
        roles: roles.to_vec(),
        services: ReportedServices { seen, ..ReportedServices::default() },
        ..AgentReportSpec::default()
    };
    let named = exceptions.iter().map(|(service, reason)| {
        AgentException::new(&format!("default/{service}"), reason, "it does not fit")
    });
    spec.set_exceptions(named);
    Change::Put(Object::of_report(AgentReport::new(name, spec)), None)
}

/// A status as a person writes it.
pub fn by_hand(addresses: &[&str]) -> Vec<LoadBalancerIngress> {
    let ingress = addresses.iter().map(|address| LoadBalancerIngress {
        ip: Some((*address).to_owned()),
        ip_mode: Some("VIP".to_owned()),
        ..LoadBalancerIngress::default()
    });
    ingress.collect()
}

impl FakeApi {
    /// Creates it, or replaces all but the status and the age.
    pub fn apply(&mut self, object: Value) -> Change<Object> {
        let mut object: v1::Service = serde_json::from_value(object).expect("a Service");
        let this = ObjectRef::from_metadata(Kind::Service, &object.metadata);
        if let Some(before) = self.services.get(&this) {
            object.status = before.status.clone();
            object.metadata.uid = before.metadata.uid.clone();
            object.metadata.creation_timestamp = before.metadata.creation_timestamp.clone();
            object.metadata.managed_fields = before.metadata.managed_fields.clone();
        } else {
            object.metadata.uid = Some(format!("uid {}", self.version));
        }
        self.store(this, object)
    }

    pub fn delete(&mut self, name: &str) -> Change<Object> {
        self.services.remove(&this(name));
        Change::Gone(this(name))
    }

    /// Somebody else writes its addresses, which are theirs then.
    pub fn write_by_hand(&mut self, name: &str, ingress: Vec<LoadBalancerIngress>) -> Option<Change<Object>> {
        let mut object = self.services.get(&this(name))?.clone();
        let balancer = object.status.get_or_insert_default().load_balancer.get_or_insert_default();
        if balancer.ingress.clone().unwrap_or_default() != ingress {
            balancer.ingress = Some(ingress);
            let owned = owned_conditions(&object);
            set_managed(&mut object, false, &owned);
        }
        Some(self.store(this(name), object))
    }

    /// Server-side apply.
    pub fn carry_out(&mut self, write: &Write) -> Result<Object, Failure> {
        let object = self.services.get(&write.this).ok_or(Failure::Conflict)?;
        let (wanted, has) = (&write.object.metadata, &object.metadata);
        if wanted.uid != has.uid || wanted.resource_version != has.resource_version {
            return Err(Failure::Conflict);
        }
        self.writes += 1;
        let mut object = object.clone();
        let owned_ingress = is_managed(&object, "f:loadBalancer");
        let ServiceStatus { conditions, load_balancer } = write.object.status.clone().unwrap_or_default();
        let owns_ingress = load_balancer.is_some();
        let owned: Vec<_> = conditions.iter().flatten().map(|condition| condition.type_.clone()).collect();
        let status = object.status.get_or_insert_default();
        if load_balancer.is_some() || owned_ingress {
            status.load_balancer = load_balancer;
        }
        let all = status.conditions.get_or_insert_default();
        all.retain(|condition| condition.type_ != ASSIGNED && condition.type_ != PROGRAMMED);
        all.extend(conditions.into_iter().flatten());
        set_managed(&mut object, owns_ingress, &owned);
        let Change::Put(object, _) = self.store(write.this.clone(), object) else {
            unreachable!("it is put")
        };
        Ok(object)
    }

    /// Addresses, and the reason of the condition.
    pub fn told(&self, name: &str) -> (Vec<String>, Option<String>) {
        let status =
            self.services.get(&this(name)).and_then(|object| object.status.clone()).unwrap_or_default();
        let ingress = status.load_balancer.and_then(|balancer| balancer.ingress).unwrap_or_default();
        let condition = status.conditions.into_iter().flatten().find(|condition| condition.type_ == ASSIGNED);
        let addresses = ingress.into_iter().filter_map(|ingress| ingress.ip).collect();
        (addresses, condition.map(|condition| condition.reason))
    }

    /// Status, reason and message of the condition about machines.
    pub fn programmed(&self, name: &str) -> Option<(String, String, String)> {
        let status = self.services.get(&this(name))?.status.clone()?;
        let condition = status.conditions?.into_iter().find(|condition| condition.type_ == PROGRAMMED)?;
        Some((condition.status, condition.reason, condition.message))
    }

    /// The version that the last change has made.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn message(&self, name: &str) -> String {
        let status =
            self.services.get(&this(name)).and_then(|object| object.status.clone()).unwrap_or_default();
        status.conditions.into_iter().flatten().map(|condition| condition.message).collect()
    }

    /// All Services, as a watch lists them.
    pub fn all(&self) -> Vec<Change<Object>> {
        self.services.values().map(seen).collect()
    }

    /// Who has it.
    pub fn holders(&self, address: IpAddr) -> Vec<&v1::Service> {
        let holds = |object: &&v1::Service| {
            let (held, _) = self.told(object.metadata.name.as_deref().unwrap_or_default());
            held.contains(&address.to_string())
        };
        self.services.values().filter(holds).collect()
    }

    fn store(&mut self, this: ObjectRef, mut object: v1::Service) -> Change<Object> {
        self.version += 1;
        object.metadata.resource_version = Some(self.version.to_string());
        let change = seen(&object);
        self.services.insert(this, object);
        change
    }
}

fn seen(object: &v1::Service) -> Change<Object> {
    Change::Put(Object::of_service(object.clone(), TranslateConfig::default()), None)
}

fn is_managed(object: &v1::Service, field: &str) -> bool {
    let entries = object.metadata.managed_fields.iter().flatten();
    entries.filter_map(|entry| entry.fields_v1.as_ref()).any(|fields| fields.0["f:status"][field].is_object())
}

fn owned_conditions(object: &v1::Service) -> Vec<String> {
    let entries = object.metadata.managed_fields.iter().flatten();
    let fields = entries.filter_map(|entry| entry.fields_v1.as_ref());
    let has = |type_: &str| {
        fields.clone().any(|all| all.0["f:status"]["f:conditions"][condition_key(type_)].is_object())
    };
    [ASSIGNED, PROGRAMMED].into_iter().filter(|type_| has(type_)).map(str::to_owned).collect()
}

fn set_managed(object: &mut v1::Service, ingress: bool, conditions: &[String]) {
    let mut fields = json!({});
    if ingress {
        fields["f:loadBalancer"] = json!({"f:ingress": {}});
    }
    for type_ in conditions {
        fields["f:conditions"][condition_key(type_)] = json!({});
    }
    let entry = ManagedFieldsEntry {
        manager: Some(NAME.to_owned()),
        operation: Some("Apply".to_owned()),
        subresource: Some("status".to_owned()),
        fields_v1: Some(FieldsV1(json!({"f:status": fields}))),
        ..ManagedFieldsEntry::default()
    };
    object.metadata.managed_fields = (ingress || !conditions.is_empty()).then(|| vec![entry]);
}
