//! One Service with its EndpointSlices: a model service for each address and port.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    Nodes, annotations,
    carrier::{self, Carrier, decide_carrier},
    health,
    policy::policy_of_family,
    readiness::Readiness,
    settings::Settings,
    slice::{Slice, SlicePort, translate_slice},
    values, wish,
};
use crate::objects::{
    model::{Backends, Endpoint, Frontend, PinnedSettings, Problem, Protocol, Service, Wish},
    source::{self, EndpointSlice, ObjectRef},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TranslateConfig {
    /// `--default-class`: Services without a class are ours as well.
    pub default_class: bool,
    /// `--all-directors`: Nodes are directors without a label.
    pub all_directors: bool,
}

/// What the meaning of a Service depends on, besides its own objects.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub nodes: &'a Nodes,
    pub options: TranslateConfig,
    /// What an earlier agent has in the maps, of Services that had no valid settings since the start.
    pub pinned: &'a BTreeMap<Frontend, PinnedSettings>,
}

/// What a Service asks for: one (VIP, port, protocol). Two Services may claim the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    pub frontend: Frontend,
    /// None: kube-proxy carries it.
    pub service: Option<Arc<Service>>,
    /// The field that the VIP is in.
    pub field: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Translated {
    pub claims: Vec<Claim>,
    /// The VIPs it wants announced.
    pub wishes: Vec<(IpAddr, Arc<Wish>)>,
    pub problems: Vec<Problem>,
    /// Its slices were looked at: the data path needs them.
    pub uses_slices: bool,
    /// Its own settings are valid.
    pub has_settings: bool,
    /// Slices with endpoints, but without any port of the Service.
    pub unmatched: Vec<ObjectRef>,
}

struct ServicePort {
    name: String,
    protocol: Protocol,
    number: u16,
}

impl ServicePort {
    fn at(&self, vip: IpAddr) -> Frontend {
        Frontend { vip, port: self.number, protocol: self.protocol }
    }
}

/// Translates a Service. `slices` are all of its slices, in any order.
pub fn service<'a>(
    object: &source::Service,
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
    context: Context<'_>,
) -> Translated {
    let this = &object.this;
    let mut problems = annotations::unknown_annotations(this, &object.annotations, annotations::OF_SERVICE);
    let carrier = decide_carrier(object, context.options, &mut problems);
    let has_settings = !matches!(carrier, Carrier::Unknown);
    let translated = match carrier {
        Carrier::Nobody => Translated::default(),
        Carrier::KubeProxy => {
            let vips = checked_vips(this, object, context.nodes, &mut problems);
            let wishes = wish::kube_proxy_wishes(object, slices, vips.iter().map(|(vip, _)| *vip));
            Translated { claims: kube_proxy_claims(this, object, &vips), wishes, ..Translated::default() }
        }
        Carrier::DataPath(settings) => {
            let asked = Asked::read(object, context.nodes, &mut problems);
            through_data_path(object, slices, &asked, &settings, |_| true, context.nodes, &mut problems)
        }
        Carrier::Unknown => {
            let mut found = Vec::new();
            let asked = Asked::read(object, context.nodes, &mut found);
            let is_pinned = |frontend: &Frontend| context.pinned.contains_key(frontend);
            let pinned = asked.frontends().filter_map(|frontend| context.pinned.get(&frontend));
            match carrier::pinned_settings(object, pinned) {
                Some(settings) => {
                    problems.append(&mut found);
                    let nodes = context.nodes;
                    through_data_path(object, slices, &asked, &settings, is_pinned, nodes, &mut problems)
                }
                // An earlier agent does not serve it.
                None => Translated::default(),
            }
        }
    };
    problems.sort_by(|a, b| (&a.object, &a.field, &a.message).cmp(&(&b.object, &b.field, &b.message)));
    Translated { problems, has_settings, ..translated }
}

/// The VIPs, each with its field, and the ports of a Service.
struct Asked {
    vips: Vec<(IpAddr, String)>,
    ports: Vec<ServicePort>,
}

impl Asked {
    /// Those that make sense.
    fn read(object: &source::Service, nodes: &Nodes, problems: &mut Vec<Problem>) -> Self {
        let vips = checked_vips(&object.this, object, nodes, problems);
        Self { vips, ports: checked_ports(&object.this, object, problems) }
    }

    fn frontends(&self) -> impl Iterator<Item = Frontend> {
        self.ports.iter().flat_map(|port| self.vips.iter().map(move |(vip, _)| port.at(*vip)))
    }
}

/// A Service in the data path, as far as its frontends are `wanted`.
fn through_data_path<'a>(
    object: &source::Service,
    slices: impl IntoIterator<Item = &'a EndpointSlice>,
    Asked { vips, ports }: &Asked,
    settings: &Settings,
    is_wanted: impl Fn(&Frontend) -> bool,
    nodes: &Nodes,
    problems: &mut Vec<Problem>,
) -> Translated {
    let slices: Vec<Slice> =
        slices.into_iter().filter_map(|object| translate_slice(object, settings, nodes, problems)).collect();
    let has_none = |slice: &&Slice| !slice.members.is_empty() && !ports.iter().any(|port| slice.has(port));
    let unmatched = slices.iter().filter(has_none).map(|slice| slice.this.clone()).collect();
    let mut claims = data_path_claims(&object.this, ports, settings, vips, &slices, problems);
    claims.retain(|claim| is_wanted(&claim.frontend));
    let vips = vips.iter().map(|(vip, _)| *vip);
    let served = vips.filter(|vip| claims.iter().any(|claim| claim.frontend.vip == *vip));
    let wishes = wish::data_path_wishes(object, served);
    Translated { claims, wishes, uses_slices: true, unmatched, ..Translated::default() }
}

/// The claims of a Service in the data path.
fn data_path_claims(
    this: &ObjectRef,
    ports: &[ServicePort],
    settings: &Settings,
    vips: &[(IpAddr, String)],
    slices: &[Slice],
    problems: &mut Vec<Problem>,
) -> Vec<Claim> {
    let name: Arc<str> = this.full_name().into();
    let mut claims = Vec::new();
    for port in ports {
        let slices = matching_slices(port, slices, settings, problems);
        claims.extend(vips.iter().map(|(vip, field)| {
            let frontend = port.at(*vip);
            let service = Service {
                name: Arc::clone(&name),
                frontend,
                delivery: settings.delivery,
                local: settings.local,
                backends: backends_for(*vip, &slices, settings),
                check: health::check_of_port(settings.check.as_ref(), port.protocol),
                policy: policy_of_family(&settings.policy, vip.is_ipv4()),
            };
            Claim { frontend, service: Some(Arc::new(service)), field: field.clone() }
        }));
    }
    claims
}

/// The claims of a Service that kube-proxy serves; its invalid ports are not reported.
fn kube_proxy_claims(this: &ObjectRef, object: &source::Service, vips: &[(IpAddr, String)]) -> Vec<Claim> {
    let ports = checked_ports(this, object, &mut Vec::new());
    let of_port = |port: ServicePort| {
        vips.iter().map(move |(vip, field)| Claim {
            frontend: port.at(*vip),
            service: None,
            field: field.clone(),
        })
    };
    ports.into_iter().flat_map(of_port).collect()
}

/// The VIPs, each with its field.
fn checked_vips(
    this: &ObjectRef,
    object: &source::Service,
    nodes: &Nodes,
    problems: &mut Vec<Problem>,
) -> Vec<(IpAddr, String)> {
    let ingress = object.ingress.iter().enumerate();
    let mut vips: Vec<(IpAddr, String)> = Vec::new();
    for (index, ip) in ingress.filter_map(|(index, ip)| Some((index, ip.as_deref()?))) {
        let field = format!("status.loadBalancer.ingress[{index}].ip");
        match values::parse_address(ip) {
            Err(complaint) => problems.push(complaint.into_problem(this, field)),
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

fn checked_ports(
    this: &ObjectRef,
    object: &source::Service,
    problems: &mut Vec<Problem>,
) -> Vec<ServicePort> {
    let listed = object.spec.iter().flat_map(|spec| spec.ports.iter());
    let mut seen = BTreeSet::new();
    let mut ports = Vec::new();
    for (index, port) in listed.enumerate() {
        let field = |name: &str| format!("spec.ports[{index}].{name}");
        match (values::check_port(port.port), values::parse_protocol(port.protocol.as_deref())) {
            (Err(complaint), _) => problems.push(complaint.into_problem(this, field("port"))),
            (_, Err(complaint)) => problems.push(complaint.into_problem(this, field("protocol"))),
            (Ok(number), Ok(protocol)) if !seen.insert((number, protocol)) => {
                let message = format!("{protocol} {number} is there twice");
                problems.push(this.problem(field("port"), message, "remove one of the two"));
            }
            (Ok(number), Ok(protocol)) => {
                let name = port.name.as_deref().unwrap_or_default().to_owned();
                ports.push(ServicePort { name, protocol, number });
            }
        }
    }
    ports
}

impl Slice {
    /// The target ports of a port of the Service.
    fn ports_of(&self, port: &ServicePort) -> impl Iterator<Item = &SlicePort> {
        self.ports.iter().filter(move |own| own.name == port.name && own.protocol == port.protocol)
    }

    fn has(&self, port: &ServicePort) -> bool {
        self.ports_of(port).next().is_some()
    }
}

/// The slices that serve a port, each with its target port.
fn matching_slices<'a>(
    port: &ServicePort,
    slices: &'a [Slice],
    settings: &Settings,
    problems: &mut Vec<Problem>,
) -> Vec<(&'a Slice, u16)> {
    let mut found = Vec::new();
    for slice in slices {
        for target in slice.ports_of(port) {
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

/// The backends of the VIP's family, sorted and without duplicates. An endpoint that takes new
/// connections by one slice does so.
fn backends_for(vip: IpAddr, slices: &[(&Slice, u16)], settings: &Settings) -> Backends {
    let family = slices.iter().filter(|(slice, _)| slice.is_ipv4 == vip.is_ipv4());
    let members = family.flat_map(|(slice, port)| slice.members.iter().map(|member| (member, *port)));
    let least = Readiness::least_for_new(members.clone().map(|(member, _)| member.readiness));
    if settings.bare {
        let taking = members.filter(|(member, _)| member.readiness.takes_new(least));
        let addresses: BTreeSet<_> = taking.map(|(member, _)| member.address).collect();
        return Backends::Bare(addresses.into_iter().collect());
    }
    let mut endpoints: Vec<Endpoint> = members
        .filter_map(|(member, port)| {
            let node = Arc::clone(member.node.as_ref()?);
            let draining = !member.readiness.takes_new(least);
            Some(Endpoint { node, addr: member.address, port, draining })
        })
        .collect();
    endpoints.sort_unstable();
    // Of those that differ in `draining` alone, the first takes new connections.
    endpoints.dedup_by(|b, a| (&a.node, a.addr, a.port) == (&b.node, b.addr, b.port));
    endpoints.shrink_to_fit();
    Backends::Endpoints(endpoints)
}
