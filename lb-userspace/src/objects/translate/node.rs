//! One Node: the addresses where tunnels to it end, and whether it is a director.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use k8s_openapi::api::core::v1;

use super::{
    TranslateConfig, annotations,
    values::{Complaint, family_name, parse_address},
};
use crate::objects::{
    model::{Labels, Node, Problem},
    source::{Kind, ObjectRef},
};

const DIRECTOR_LABEL: &str = "trigon.dev/director";

/// Translates a Node on its own.
pub fn node(object: &v1::Node, options: TranslateConfig) -> (Option<Node>, Vec<Problem>) {
    let meta = &object.metadata;
    let this = ObjectRef::new(Kind::Node, "", meta.name.as_deref().unwrap_or_default());
    let [annotations, labels] = [&meta.annotations, &meta.labels].map(|all| Labels::from(all.clone()));
    let mut problems = annotations::unknown_annotations(&this, &annotations, annotations::OF_NODE);
    let director = is_director(&this, &labels, &mut problems) || options.all_directors;
    let addresses = match annotations.get(annotations::NODE_ADDRESS) {
        Some(list) => annotated_addresses(&this, list, &mut problems),
        None => internal_ips(&this, object, &mut problems),
    };
    let name = Arc::clone(&this.name);
    let other_addresses = other_addresses(object, &addresses);
    let node = (!addresses.is_empty()).then_some(Node { name, addresses, other_addresses, director, labels });
    (node, problems)
}

fn is_director(this: &ObjectRef, labels: &Labels, problems: &mut Vec<Problem>) -> bool {
    match labels.get(DIRECTOR_LABEL) {
        None | Some("false") => false,
        Some("" | "true") => true,
        Some(other) => {
            let message = format!("`{other}` is not a value of this label");
            let field = format!("metadata.labels[{DIRECTOR_LABEL}]");
            problems.push(this.problem(field, message, "write \"true\", or remove the label"));
            false
        }
    }
}

fn annotated_addresses(this: &ObjectRef, list: &str, problems: &mut Vec<Problem>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for text in list.split(',') {
        match parse_address(text.trim()).and_then(|address| check_one_per_family(address, &addresses)) {
            Ok(address) => addresses.push(address),
            Err(complaint) => {
                problems.push(complaint.into_problem(this, annotations::field(annotations::NODE_ADDRESS)));
            }
        }
    }
    addresses
}

pub fn check_one_per_family(address: IpAddr, before: &[IpAddr]) -> Result<IpAddr, Complaint> {
    if before.iter().all(|other| other.is_ipv4() != address.is_ipv4()) {
        return Ok(address);
    }
    let message = format!("{address} is the second {} address", family_name(address));
    Err(Complaint::new(message, "name at most one IPv4 and one IPv6 address"))
}

fn listed_addresses(object: &v1::Node) -> impl Iterator<Item = &v1::NodeAddress> {
    object.status.iter().filter_map(|status| status.addresses.as_ref()).flatten()
}

/// What it has besides `addresses`; names of hosts are no addresses.
fn other_addresses(object: &v1::Node, addresses: &[IpAddr]) -> BTreeSet<IpAddr> {
    let all = listed_addresses(object).filter_map(|listed| listed.address.parse().ok());
    all.filter(|address| !addresses.contains(address)).collect()
}

/// The first InternalIP of each family, in the order that the kubelet prefers.
fn internal_ips(this: &ObjectRef, object: &v1::Node, problems: &mut Vec<Problem>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let mut found = false;
    for (index, listed) in
        listed_addresses(object).enumerate().filter(|(_, listed)| listed.type_ == "InternalIP")
    {
        found = true;
        match parse_address(&listed.address) {
            Ok(address) => addresses.extend(check_one_per_family(address, &addresses)),
            Err(complaint) => {
                problems.push(complaint.into_problem(this, format!("status.addresses[{index}].address")));
            }
        }
    }
    if !found {
        let remedy =
            format!("add an address of type InternalIP, or the annotation {}", annotations::NODE_ADDRESS);
        problems.push(this.problem("status.addresses", "the Node has no InternalIP", remedy));
    }
    addresses
}
