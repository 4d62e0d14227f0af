//! One Service with its EndpointSlices: a model service for each address and port.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use k8s_openapi::api::{core::v1, discovery::v1::EndpointSlice};

use super::{
    Nodes,
    annotations::{self, BACKENDS, DELIVERY, DSR},
    slice::{Slice, slice},
    values,
};
use crate::{
    model::{Backends, DeliveryMode, Endpoint, Frontend, Problem, Protocol, Service},
    source::{Kind, ObjectRef},
};

/// The `loadBalancerClass` of Services that are for Trigon.
const CLASS: &str = "trigon.dev/lb";
/// How source ranges were written before there was a field for them.
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Options {
    /// `--default-class`: Services without a class are ours as well.
    pub default_class: bool,
}

/// A Service's wish for one (VIP, port, protocol). Two Services may have the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    pub service: Arc<Service>,
    /// The field that the VIP is in.
    pub field: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Translated {
    pub claims: Vec<Claim>,
    pub problems: Vec<Problem>,
}

/// What a Service says about all of its ports.
pub struct Settings {
    pub delivery: DeliveryMode,
    pub bare: bool,
    pub publish_not_ready: bool,
}

struct Port {
    name: String,
    protocol: Protocol,
    number: u16,
}

/// Translates a Service. `slices` are all of its slices, in any order.
pub fn service<'a>(
    object: &v1::Service,
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
    nodes: &Nodes,
    options: Options,
) -> Translated {
    let meta = &object.metadata;
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let this = ObjectRef::new(Kind::Service, namespace, meta.name.as_deref().unwrap_or_default());
    let mut problems = annotations::unknown(&this, meta, annotations::OF_SERVICE);
    let mut claims = Vec::new();
    if let Some(settings) = settings(&this, object, options, &mut problems) {
        let vips = vips(&this, object, nodes, &mut problems);
        let ports = ports(&this, object, &mut problems);
        let slices: Vec<Slice> =
            slices.into_iter().filter_map(|object| slice(object, &settings, nodes, &mut problems)).collect();
        let name: Arc<str> = this.full_name().into();
        for port in &ports {
            let slices = matching(port, &slices, &settings, &mut problems);
            claims.extend(vips.iter().map(|(vip, field)| Claim {
                service: Arc::new(Service {
                    name: Arc::clone(&name),
                    frontend: Frontend { vip: *vip, port: port.number, protocol: port.protocol },
                    delivery: settings.delivery,
                    backends: backends(*vip, &slices, &settings),
                }),
                field: field.clone(),
            }));
        }
    }
    problems.sort_by(|a, b| (&a.object, &a.field, &a.message).cmp(&(&b.object, &b.field, &b.message)));
    Translated { claims, problems }
}

/// None if the Service is not for the data path, or must not be: what is set
/// to protect it and cannot be kept is no reason to go on without.
fn settings(
    this: &ObjectRef,
    object: &v1::Service,
    options: Options,
    problems: &mut Vec<Problem>,
) -> Option<Settings> {
    let (meta, spec) = (&object.metadata, object.spec.as_ref()?);
    if not_ours(spec, options).is_some() {
        return None;
    }
    let before = problems.len();
    let mut complain = |annotation: &str, complaint: values::Complaint| {
        problems.push(complaint.about(this, annotations::field(annotation)));
    };
    let dsr = annotations::choice(meta, DSR, annotations::BOOLEANS);
    let delivery = annotations::choice(meta, DELIVERY, annotations::DELIVERIES);
    let bare = annotations::choice(meta, BACKENDS, annotations::BACKEND_KINDS);
    let dsr = dsr.map_err(|complaint| complain(DSR, complaint)).unwrap_or_default();
    let delivery = delivery.map_err(|complaint| complain(DELIVERY, complaint)).unwrap_or_default();
    let bare = bare.map_err(|complaint| complain(BACKENDS, complaint)).unwrap_or_default();
    if dsr {
        problems.extend(unsupported(this, object, spec));
    }
    let publish_not_ready = spec.publish_not_ready_addresses.unwrap_or_default();
    (dsr && problems.len() == before).then_some(Settings { delivery, bare, publish_not_ready })
}

/// What makes it somebody else's Service: the field and what it would have to be.
pub fn not_ours(spec: &v1::ServiceSpec, options: Options) -> Option<(&'static str, &'static str)> {
    let ours = match spec.load_balancer_class.as_deref() {
        None | Some("") => options.default_class,
        Some(class) => class == CLASS,
    };
    if spec.type_.as_deref() != Some("LoadBalancer") {
        Some(("spec.type", "LoadBalancer"))
    } else if !ours {
        Some(("spec.loadBalancerClass", CLASS))
    } else {
        None
    }
}

fn unsupported(this: &ObjectRef, object: &v1::Service, spec: &v1::ServiceSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let filter = "remove it, and filter elsewhere: with trigon.dev/dsr it has no effect yet";
    if spec.load_balancer_source_ranges.as_ref().is_some_and(|ranges| !ranges.is_empty()) {
        problems.push(this.problem("spec.loadBalancerSourceRanges", "not supported yet", filter));
    }
    if annotations::get(&object.metadata, SOURCE_RANGES).is_some_and(|ranges| !ranges.trim().is_empty()) {
        problems.push(this.problem(annotations::field(SOURCE_RANGES), "not supported yet", filter));
    }
    if !matches!(spec.session_affinity.as_deref(), None | Some("" | "None")) {
        let remedy = "write None, or remove it: with trigon.dev/dsr it has no effect yet";
        problems.push(this.problem("spec.sessionAffinity", "not supported yet", remedy));
    }
    problems
}

/// The VIPs, each with its field.
fn vips(
    this: &ObjectRef,
    object: &v1::Service,
    nodes: &Nodes,
    problems: &mut Vec<Problem>,
) -> Vec<(IpAddr, String)> {
    let balancer = object.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let mut vips: Vec<(IpAddr, String)> = Vec::new();
    for (index, ip) in ingress.iter().enumerate().filter_map(|(index, i)| Some((index, i.ip.as_deref()?))) {
        let field = format!("status.loadBalancer.ingress[{index}].ip");
        match values::address(ip) {
            Err(complaint) => problems.push(complaint.about(this, field)),
            Ok(vip) if vips.iter().any(|(other, _)| *other == vip) => {
                problems.push(this.problem(field, format!("{vip} is there twice"), "remove one of the two"));
            }
            Ok(vip) => match nodes.owner(vip) {
                None => vips.push((vip, field)),
                Some(node) => {
                    let message = format!("{vip} is the address of Node {node}");
                    let remedy =
                        "use an address that no machine has: all of this node's traffic would be taken";
                    problems.push(this.problem(field, message, remedy));
                }
            },
        }
    }
    vips
}

fn ports(this: &ObjectRef, object: &v1::Service, problems: &mut Vec<Problem>) -> Vec<Port> {
    let listed = object.spec.iter().filter_map(|spec| spec.ports.as_ref()).flatten();
    let mut seen = BTreeSet::new();
    let mut ports = Vec::new();
    for (index, port) in listed.enumerate() {
        let field = |name: &str| format!("spec.ports[{index}].{name}");
        match (values::port(port.port), values::protocol(port.protocol.as_deref())) {
            (Err(complaint), _) => problems.push(complaint.about(this, field("port"))),
            (_, Err(complaint)) => problems.push(complaint.about(this, field("protocol"))),
            (Ok(number), Ok(protocol)) if !seen.insert((number, protocol)) => {
                let message = format!("{protocol} {number} is there twice");
                problems.push(this.problem(field("port"), message, "remove one of the two"));
            }
            (Ok(number), Ok(protocol)) => {
                ports.push(Port { name: port.name.clone().unwrap_or_default(), protocol, number });
            }
        }
    }
    ports
}

/// The slices that serve a port, each with its own number for it.
fn matching<'a>(
    port: &Port,
    slices: &'a [Slice],
    settings: &Settings,
    problems: &mut Vec<Problem>,
) -> Vec<(&'a Slice, u16)> {
    let mut found = Vec::new();
    for slice in slices {
        let same = slice.ports.iter().filter(|p| p.name == port.name && p.protocol == port.protocol);
        for target in same {
            if settings.bare && target.number != port.number {
                let message = format!("{} is not the port of the Service", target.number);
                let remedy = format!("write {}: a bare server gets the packets as they are", port.number);
                problems.push(slice.this.problem(format!("ports[{}].port", target.index), message, remedy));
            } else {
                found.push((slice, target.number));
            }
        }
    }
    found
}

/// The backends of the VIP's family, sorted and without duplicates.
fn backends(vip: IpAddr, slices: &[(&Slice, u16)], settings: &Settings) -> Backends {
    let family = slices.iter().filter(|(slice, _)| slice.is_ipv4 == vip.is_ipv4());
    let members = family.flat_map(|(slice, port)| slice.members.iter().map(|member| (member, *port)));
    if settings.bare {
        let addresses: BTreeSet<_> = members.map(|(member, _)| member.address).collect();
        return Backends::Bare(addresses.into_iter().collect());
    }
    let mut endpoints: Vec<Endpoint> = members
        .filter_map(|(member, port)| {
            Some(Endpoint { node: Arc::clone(member.node.as_ref()?), addr: member.address, port })
        })
        .collect();
    endpoints.sort_unstable();
    endpoints.dedup();
    Backends::Endpoints(endpoints)
}
