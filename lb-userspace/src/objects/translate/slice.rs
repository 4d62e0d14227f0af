//! One EndpointSlice, reduced to what its Service needs of it.

use std::{net::IpAddr, sync::Arc};

use super::{
    Nodes,
    readiness::Readiness,
    settings::Settings,
    values::{self, Complaint, family_name},
};
use crate::objects::{
    model::{Problem, Protocol},
    source::{Endpoint, EndpointSlice, ObjectRef},
};

/// What the API server allows in one slice.
const MAX_ENDPOINTS: usize = 1000;

/// A slice, checked.
pub struct Slice {
    pub this: ObjectRef,
    pub is_ipv4: bool,
    pub ports: Vec<SlicePort>,
    pub members: Vec<SliceEndpoint>,
}

pub struct SlicePort {
    /// Its place in `ports`.
    pub index: usize,
    pub name: String,
    pub protocol: Protocol,
    pub number: u16,
}

/// An endpoint that packets may go to.
pub struct SliceEndpoint {
    pub address: IpAddr,
    /// None for a bare server, which needs none.
    pub node: Option<Arc<str>>,
    pub readiness: Readiness,
}

/// Checks a slice of a Service with these settings. None: nothing of it is usable.
pub fn translate_slice(
    object: &EndpointSlice,
    settings: &Settings,
    nodes: &Nodes,
    problems: &mut Vec<Problem>,
) -> Option<Slice> {
    let this = object.this.clone();
    let is_ipv4 = match object.address_type.as_str() {
        "IPv4" => true,
        "IPv6" => false,
        other => {
            let message = format!("`{other}` has no meaning for a load balancer");
            let complaint = Complaint::left_out(message, "write IPv4 or IPv6");
            problems.push(complaint.into_problem(&this, "addressType"));
            return None;
        }
    };
    let endpoints = &object.endpoints;
    if endpoints.len() > MAX_ENDPOINTS {
        let message =
            format!("{} endpoints in one slice; Kubernetes allows {MAX_ENDPOINTS}", endpoints.len());
        problems.push(this.problem("endpoints", message, "split it into several slices of the Service"));
        return None;
    }
    let ports = checked_ports(&this, object, problems);
    let mut members = Vec::with_capacity(endpoints.len());
    for (index, endpoint) in endpoints.iter().enumerate() {
        match translate_endpoint(endpoint, is_ipv4, settings, nodes) {
            Ok(member) => members.extend(member),
            Err((field, complaint)) => {
                problems.push(complaint.into_problem(&this, format!("endpoints[{index}].{field}")));
            }
        }
    }
    Some(Slice { this, is_ipv4, ports, members })
}

fn checked_ports(this: &ObjectRef, object: &EndpointSlice, problems: &mut Vec<Problem>) -> Vec<SlicePort> {
    let mut ports = Vec::new();
    for (index, port) in object.ports.iter().enumerate() {
        let number = port.port.ok_or_else(|| {
            Complaint::left_out("is missing: it would mean all ports", "write the number of the port")
        });
        match (number.and_then(values::check_port), values::parse_protocol(port.protocol.as_deref())) {
            (Ok(number), Ok(protocol)) => {
                let name = port.name.clone().unwrap_or_default();
                ports.push(SlicePort { index, name, protocol, number });
            }
            (Err(complaint), _) => {
                problems.push(complaint.into_problem(this, format!("ports[{index}].port")))
            }
            (_, Err(complaint)) => {
                problems.push(complaint.into_problem(this, format!("ports[{index}].protocol")))
            }
        }
    }
    ports
}

/// Checks an endpoint. None: it is left out without a problem of its own, because its Node
/// is unusable.
fn translate_endpoint(
    endpoint: &Endpoint,
    is_ipv4: bool,
    settings: &Settings,
    nodes: &Nodes,
) -> Result<Option<SliceEndpoint>, (&'static str, Complaint)> {
    let address = endpoint_address(endpoint, is_ipv4)?;
    let readiness = Readiness::of(endpoint, settings.publish_not_ready);
    if settings.bare {
        return Ok(Some(SliceEndpoint { address, node: None, readiness }));
    }
    let name = endpoint.node_name.as_deref().filter(|name| !name.is_empty()).ok_or_else(|| {
        let remedy = "set the Node that the Pod is on; or annotate the Service with \
                      trigon.dev/backends: bare, if this is a server that owns the VIP itself";
        ("nodeName", Complaint::left_out("is missing", remedy))
    })?;
    let (name, usable) = nodes.get(name).ok_or_else(|| {
        let message = format!("there is no Node `{name}`");
        ("nodeName", Complaint::new(message, "add an object for this Node, or correct the name"))
    })?;
    Ok(usable.then(|| SliceEndpoint { address, node: Some(Arc::clone(name)), readiness }))
}

fn endpoint_address(endpoint: &Endpoint, is_ipv4: bool) -> Result<IpAddr, (&'static str, Complaint)> {
    let text = match &*endpoint.addresses {
        [only] => only,
        [] => return Err(("addresses", Complaint::new("is empty", "write the address of the endpoint"))),
        several => {
            let message = format!("{} addresses, of which Kubernetes uses only the first", several.len());
            return Err(("addresses", Complaint::new(message, "write one endpoint for each address")));
        }
    };
    let address = values::parse_address(text).map_err(|complaint| ("addresses[0]", complaint))?;
    if address.is_ipv4() == is_ipv4 {
        return Ok(address);
    }
    let message = format!("{address} is {}, unlike the slice's addressType", family_name(address));
    let remedy = "put IPv4 and IPv6 endpoints into slices of their own";
    Err(("addresses[0]", Complaint::new(message, remedy)))
}
