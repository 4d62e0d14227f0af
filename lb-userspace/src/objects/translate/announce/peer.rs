//! `BgpPeer`: its address and AS, and the session with it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use super::{
    Fields, KnownObjects,
    admit::{Admitted, Fit},
    choice::parse_interface,
    selector::{FIRST_BY_NAME, NodeOverlap, NodesByName, node_overlap, read_selectors},
    session,
};
use crate::{
    objects::{
        crds::{BgpPeer, BgpPeerSpec, DynamicAsn},
        model,
        source::{Kind, ObjectRef},
        translate::values::{Complaint, family_name, parse_host},
    },
    protocols::{
        bfd::Profile,
        bgp::{Remote, RemoteAs, config::PORT},
    },
};

pub fn read(
    object: &BgpPeer,
    known: &KnownObjects<'_>,
    profiles: &BTreeMap<Arc<str>, Arc<Profile>>,
    fields: &mut Fields<'_>,
) -> Option<model::BgpPeer> {
    let spec = &object.spec;
    let local_as = fields.ok_or_report("myASN", check_asn(spec.my_asn));
    let remote_as = read_remote_as(spec, fields);
    let remote = read_remote(spec, fields);
    let port = fields.checked_number("peerPort", spec.peer_port, 1..=65535, "a port");
    let source = parse_optional("sourceAddress", spec.source_address.as_deref(), parse_host, fields);
    let router_id = parse_optional("routerID", spec.router_id.as_deref(), parse_router_id, fields);
    if let (Some(source), Some(Remote::Address { address, .. })) = (source, &remote)
        && source.is_ipv4() != address.is_ipv4()
    {
        let message = format!("{source} is {}, unlike the peer's address", family_name(source));
        fields.report_wrong("sourceAddress", message, format!("write an {} address", family_name(*address)));
    }
    let timers = session::read_timers(spec, fields);
    let nodes = read_selectors("nodeSelectors", &spec.node_selectors, fields);
    let password = session::read_password(spec, known, fields);
    let is_internal = match remote_as {
        Some(RemoteAs::Internal) => true,
        Some(RemoteAs::Number(number)) => Some(number) == local_as,
        _ => false,
    };
    let hops = session::read_hops(spec, is_internal, fields);
    let bfd = resolve_bfd_profile(spec, known, profiles, fields);
    let graceful_restart = session::read_graceful_restart(spec, fields);
    let families = session::read_families(spec, remote.as_ref(), fields);
    let next_hop_v4 =
        parse_optional("nextHopV4", spec.next_hop_v4.as_deref(), parse_next_hop::<Ipv4Addr>, fields);
    let next_hop_v6 =
        parse_optional("nextHopV6", spec.next_hop_v6.as_deref(), parse_next_hop::<Ipv6Addr>, fields);
    Some(model::BgpPeer {
        nodes,
        local_as: local_as?,
        remote_as: remote_as?,
        remote: remote?,
        port: port.unwrap_or(PORT),
        source,
        router_id,
        hold_time: timers.hold,
        keepalive: timers.keepalive,
        connect_retry: timers.connect,
        passive: spec.passive.unwrap_or_default(),
        multihop: hops.multihop,
        ttl_security: hops.ttl_security,
        password,
        graceful_restart,
        families,
        next_hop_v4,
        next_hop_v6,
        bfd,
    })
}

/// A peer conflicts with one of the same address, port and source: a node that has both would
/// have two sessions with one router.
pub fn check_fit(
    this: &ObjectRef,
    peer: &model::BgpPeer,
    others: &Admitted<model::BgpPeer>,
    nodes: &NodesByName,
) -> Fit {
    let same = others.iter().filter(|(_, other)| other.endpoint_key() == peer.endpoint_key());
    let meetings = same.map(|(other, rival)| (node_overlap(&peer.nodes, &rival.nodes, nodes), other));
    let Some((most, other)) = meetings.max_by_key(|(meeting, _)| *meeting) else { return Fit::Well };
    let (field, place) = match &peer.remote {
        Remote::Address { address, .. } => ("peerAddress", format!("{address} port {}", peer.port)),
        Remote::Interface(interface) => ("interface", format!("{interface} port {}", peer.port)),
    };
    let problem = |also: &str| {
        let message = format!("{place} is already the peer of {other}{also}");
        let remedy = "remove one of the two, or give them nodeSelectors that no node meets both of";
        this.problem(format!("spec.{field}"), message, remedy)
    };
    match most {
        NodeOverlap::Nowhere => Fit::Well,
        NodeOverlap::Somewhere => Fit::Partly(problem(FIRST_BY_NAME)),
        NodeOverlap::Everywhere => Fit::Not(problem("")),
    }
}

/// RFC 7607, 6793 and 7300 keep some numbers back.
fn check_asn(number: u32) -> Result<u32, Complaint> {
    let why = match number {
        0 => "is no AS",
        23456 => "only stands for numbers of 4 bytes (AS_TRANS)",
        65535 | u32::MAX => "is reserved (RFC 7300)",
        _ => return Ok(number),
    };
    let remedy = "write the number of the AS; private ones are 64512 to 65534 and 4200000000 to 4294967294";
    Err(Complaint::new(format!("{number} {why}"), remedy))
}

fn read_remote_as(spec: &BgpPeerSpec, fields: &mut Fields<'_>) -> Option<RemoteAs> {
    match (spec.peer_asn, spec.dynamic_asn) {
        (Some(_), Some(_)) => {
            fields.report_wrong("dynamicASN", "there is a peerASN, too", "remove one of the two");
            None
        }
        (Some(number), None) => fields.ok_or_report("peerASN", check_asn(number)).map(RemoteAs::Number),
        (None, Some(DynamicAsn::Internal)) => Some(RemoteAs::Internal),
        (None, Some(DynamicAsn::External)) => Some(RemoteAs::External),
        (None, None) => {
            let remedy = "write the peer's AS, or dynamicASN: internal or external";
            fields.report_wrong("peerASN", "is missing, as is dynamicASN", remedy);
            None
        }
    }
}

fn read_remote(spec: &BgpPeerSpec, fields: &mut Fields<'_>) -> Option<Remote> {
    let device = match spec.interface.as_deref() {
        Some(name) => Some(fields.ok_or_report("interface", parse_interface(name))?),
        None => None,
    };
    let Some(text) = spec.peer_address.as_deref() else {
        if device.is_none() {
            let remedy = "write the peer's address, or the interface that it is found on";
            fields.report_wrong("peerAddress", "is missing, as is interface", remedy);
        }
        return device.map(Remote::Interface);
    };
    let address = fields.ok_or_report("peerAddress", parse_host(text))?;
    let is_link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    match (is_link_local, &device) {
        (true, None) => {
            let message = format!("{address} is a link-local address: on which link?");
            fields.report_wrong("peerAddress", message, "add the interface");
            None
        }
        (false, Some(_)) => {
            let remedy = "remove one of the two; only a link-local address needs an interface";
            fields.report_wrong("interface", "there is a peerAddress, too", remedy);
            None
        }
        _ => Some(Remote::Address { address, interface: device }),
    }
}

fn resolve_bfd_profile(
    spec: &BgpPeerSpec,
    known: &KnownObjects<'_>,
    profiles: &BTreeMap<Arc<str>, Arc<Profile>>,
    fields: &mut Fields<'_>,
) -> Option<Profile> {
    let name = spec.bfd_profile.as_deref()?;
    let profile = profiles.get(name);
    if profile.is_none() && known.contains(Kind::BfdProfile, name) {
        let message =
            format!("BfdProfile `{name}` is not good, and without BFD this would be another session");
        fields.report_wrong("bfdProfile", message, "correct the BfdProfile");
    } else if profile.is_none() {
        let remedy =
            format!("correct the name ({}), or add the BfdProfile", known.list_names(Kind::BfdProfile));
        fields.report_wrong("bfdProfile", format!("there is no BfdProfile `{name}`"), remedy);
    }
    profile.map(|profile| **profile)
}

fn parse_optional<T>(
    field: &str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Result<T, Complaint>,
    fields: &mut Fields<'_>,
) -> Option<T> {
    text.and_then(|text| fields.ok_or_report(field, parse(text)))
}

/// RFC 6286: any number of 4 bytes but 0.
fn parse_router_id(text: &str) -> Result<Ipv4Addr, Complaint> {
    let id = text.parse::<Ipv4Addr>().ok().filter(|id| !id.is_unspecified());
    id.ok_or_else(|| {
        let remedy =
            "write it as an IPv4 address that is not 0.0.0.0, or leave it out: each node has one of its own";
        Complaint::new(format!("`{text}` is not a router id"), remedy)
    })
}

fn parse_next_hop<T: FromStr + Into<IpAddr> + Copy>(text: &str) -> Result<T, Complaint> {
    let address = text.parse::<T>().ok().filter(|address| parse_host(&(*address).into().to_string()).is_ok());
    address.ok_or_else(|| {
        let remedy = "write an address of this field's family by which routers reach the node";
        Complaint::new(format!("`{text}` is not a next hop"), remedy)
    })
}
