//! Kubernetes objects that describe a testbed.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    address::{Family, VIP},
    config::ObjectSource,
    plan::{Machine, Pod},
    servers::{HTTP_PORT, TCP_ECHO_PORT, UDP_ECHO_PORT},
    testbed::Testbed,
};

const BACKENDS: &str = "trigon.dev/backends";
const HEALTH_CHECK: &str = "trigon.dev/health-check";

/// A Service's protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// A port of a Service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortSpec {
    pub name: String,
    pub port: u16,
    pub protocol: Protocol,
    pub target_port: u16,
}

impl PortSpec {
    pub fn new(name: &str, protocol: Protocol, port: u16, target_port: u16) -> Self {
        Self { name: name.to_owned(), port, protocol, target_port }
    }
}

/// How a Pod is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EndpointState {
    #[default]
    Ready,
    NotReady,
    /// Still serving, but to get nothing new.
    Terminating,
    /// The same, with a readiness probe that fails.
    TerminatingNotReady,
}

/// A Pod behind a Service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointSpec {
    /// `pod1_1`; or `node1`, a Pod in its network, or a bare server if the Service has those.
    pub pod: String,
    pub state: EndpointState,
}

/// A Service with `trigon.dev/dsr`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceSpec {
    pub name: String,
    pub vips: Vec<IpAddr>,
    pub ports: Vec<PortSpec>,
    /// `None`: all Pods, ready. Not looked at where controllers make the EndpointSlices.
    pub endpoints: Option<Vec<EndpointSpec>>,
    /// Beside, or instead of, `trigon.dev/dsr: "true"`.
    pub annotations: BTreeMap<String, String>,
    /// What else its `spec` says.
    pub fields: BTreeMap<String, Value>,
}

impl ServiceSpec {
    /// On [`VIP`], both families, with all Pods.
    pub fn new(name: &str, ports: Vec<PortSpec>) -> Self {
        let annotations = BTreeMap::from([("trigon.dev/dsr".to_owned(), "true".to_owned())]);
        Self {
            name: name.to_owned(),
            vips: VIP.both().into(),
            ports,
            endpoints: None,
            annotations,
            fields: BTreeMap::new(),
        }
    }

    /// What the servers of a testbed serve: HTTP on 80, and both echoes.
    pub fn with_all_ports(name: &str) -> Self {
        let ports = vec![
            PortSpec::new("http", Protocol::Tcp, 80, HTTP_PORT),
            PortSpec::new("tcp-echo", Protocol::Tcp, TCP_ECHO_PORT, TCP_ECHO_PORT),
            PortSpec::new("udp-echo", Protocol::Udp, UDP_ECHO_PORT, UDP_ECHO_PORT),
        ];
        Self::new(name, ports)
    }

    /// The same on bare servers, which get packets as they are: the port of a
    /// server is the port of the Service.
    pub fn bare(name: &str, servers: &[&str]) -> Self {
        let ports = vec![
            PortSpec::new("http", Protocol::Tcp, HTTP_PORT, HTTP_PORT),
            PortSpec::new("tcp-echo", Protocol::Tcp, TCP_ECHO_PORT, TCP_ECHO_PORT),
            PortSpec::new("udp-echo", Protocol::Udp, UDP_ECHO_PORT, UDP_ECHO_PORT),
        ];
        Self::new(name, ports).annotation(BACKENDS, "bare").delivery("l2").pods(servers)
    }

    fn is_bare(&self) -> bool {
        self.annotations.get(BACKENDS).is_some_and(|kind| kind == "bare")
    }

    pub fn vips(mut self, vips: impl Into<Vec<IpAddr>>) -> Self {
        self.vips = vips.into();
        self
    }

    /// How bare servers are checked: `tcp`, `http:/PATH`, `icmp` or `none`.
    pub fn health_check(self, check: &str) -> Self {
        self.annotation(HEALTH_CHECK, check)
    }

    /// `auto`, `l2`, `ipip` or `gue`.
    pub fn delivery(self, delivery: &str) -> Self {
        self.annotation("trigon.dev/delivery", delivery)
    }

    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A field of its `spec`.
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    /// Only these Pods, ready.
    pub fn pods(self, names: &[&str]) -> Self {
        let ready = names.iter().map(|name| (*name, EndpointState::Ready)).collect::<Vec<_>>();
        self.endpoints(&ready)
    }

    /// Only these Pods, in these states.
    pub fn endpoints(mut self, endpoints: &[(&str, EndpointState)]) -> Self {
        let one = |&(pod, state): &(&str, EndpointState)| EndpointSpec { pod: pod.to_owned(), state };
        self.endpoints = Some(endpoints.iter().map(one).collect());
        self
    }
}

/// Nodes, Services and EndpointSlices of a testbed: YAML documents, each
/// written as JSON, which YAML includes.
pub fn render_manifest(testbed: &Testbed, services: &[ServiceSpec]) -> Result<String> {
    let objects = manifest_objects(testbed, services)?;
    let documents = objects.iter().map(serde_json::to_string_pretty).collect::<Result<Vec<_>, _>>()?;
    Ok(documents.join("\n---\n") + "\n")
}

/// The same as values.
pub fn manifest_objects(testbed: &Testbed, services: &[ServiceSpec]) -> Result<Vec<Value>> {
    let cluster = testbed.machines().iter().filter(|machine| machine.roles.is_some());
    let mut objects: Vec<_> =
        cluster.map(|machine| node_object(machine, testbed.config().node_family)).collect();
    let are_slices_made = matches!(testbed.config().source, ObjectSource::Controllers(_));
    for spec in services {
        objects.push(service_object(spec));
        for family in vip_families(spec).filter(|_| !are_slices_made) {
            objects.push(slice_object(testbed, spec, family)?);
        }
    }
    Ok(objects)
}

/// Writes a file of a source directory atomically, by renaming a complete one.
pub fn write_manifest(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let (path, partial) = (dir.join(name), dir.join(format!(".{name}.partial")));
    fs::create_dir_all(dir)
        .and_then(|()| fs::write(&partial, text))
        .and_then(|()| fs::rename(&partial, &path))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

fn node_object(machine: &Machine, only: Option<Family>) -> Value {
    let announced = Family::ALL.into_iter().filter(|family| only.is_none_or(|only| only == *family));
    let addresses: Vec<_> = announced
        .map(|family| json!({"type": "InternalIP", "address": machine.address.get(family)}))
        .collect();
    let mut labels = BTreeMap::from([("kubernetes.io/hostname", machine.name.as_str())]);
    if machine.is_director() {
        labels.insert("trigon.dev/director", "");
    }
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": machine.name, "labels": labels},
        "status": {"addresses": addresses},
    })
}

pub(crate) fn service_object(spec: &ServiceSpec) -> Value {
    let families: Vec<_> = vip_families(spec).map(Family::name).collect();
    let policy = if families.len() == 2 { "RequireDualStack" } else { "SingleStack" };
    let port = |port: &PortSpec| {
        json!({
            "name": port.name,
            "port": port.port,
            "protocol": port.protocol.name(),
            "targetPort": port.target_port,
        })
    };
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": spec.name,
            "namespace": "default",
            "labels": {"app": spec.name},
            "annotations": spec.annotations,
        },
        "spec": {
            "type": "LoadBalancer",
            "loadBalancerClass": "trigon.dev/lb",
            "ipFamilies": families,
            "ipFamilyPolicy": policy,
            "selector": {"app": spec.name},
            "ports": spec.ports.iter().map(port).collect::<Vec<_>>(),
        },
        "status": {"loadBalancer": {
            "ingress": spec.vips.iter().map(|vip| json!({"ip": vip})).collect::<Vec<_>>(),
        }},
    });
    for (name, value) in &spec.fields {
        object["spec"][name] = value.clone();
    }
    object
}

fn slice_object(testbed: &Testbed, spec: &ServiceSpec, family: Family) -> Result<Value> {
    let endpoints = match &spec.endpoints {
        None => testbed.pods().iter().map(|pod| pod_endpoint(pod, family, EndpointState::Ready)).collect(),
        Some(chosen) => {
            chosen.iter().map(|one| slice_endpoint(testbed, spec, one, family)).collect::<Result<Vec<_>>>()?
        }
    };
    Ok(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("{}-{}", spec.name, family.name().to_lowercase()),
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": spec.name},
        },
        "addressType": family.name(),
        "ports": spec.ports.iter().map(slice_port).collect::<Vec<_>>(),
        "endpoints": endpoints,
    }))
}

fn slice_port(port: &PortSpec) -> Value {
    json!({"name": port.name, "port": port.target_port, "protocol": port.protocol.name()})
}

fn slice_endpoint(
    testbed: &Testbed,
    spec: &ServiceSpec,
    chosen: &EndpointSpec,
    family: Family,
) -> Result<Value> {
    let Ok(machine) = testbed.machine(&chosen.pod) else {
        return testbed.pod(&chosen.pod).map(|pod| pod_endpoint(pod, family, chosen.state));
    };
    if !spec.is_bare() {
        return Ok(pod_endpoint(&testbed.host_pod(machine), family, chosen.state));
    }
    Ok(json!({"addresses": [machine.address.get(family)], "conditions": conditions(chosen.state)}))
}

fn pod_endpoint(pod: &Pod, family: Family, state: EndpointState) -> Value {
    json!({
        "addresses": [pod.address.get(family)],
        "nodeName": pod.node,
        "targetRef": {"kind": "Pod", "name": pod.name, "namespace": "default"},
        "conditions": conditions(state),
    })
}

fn conditions(state: EndpointState) -> Value {
    json!({
        "ready": state == EndpointState::Ready,
        "serving": matches!(state, EndpointState::Ready | EndpointState::Terminating),
        "terminating": matches!(state, EndpointState::Terminating | EndpointState::TerminatingNotReady),
    })
}

/// The families of the Service's VIPs.
fn vip_families(spec: &ServiceSpec) -> impl Iterator<Item = Family> {
    Family::ALL.into_iter().filter(|family| spec.vips.iter().any(|vip| Family::of(*vip) == *family))
}
