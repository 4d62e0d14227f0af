//! `trigon.dev/` annotations: which there are, and what may be in them. `manifests/base/policies.yaml` says part of it to API
//! servers.

#[cfg(test)]
mod tests;

use super::values::Complaint;
use crate::objects::{
    model::{DeliveryMode, Labels, Problem},
    source::ObjectRef,
};

pub const PREFIX: &str = "trigon.dev/";

pub const DSR: &str = "trigon.dev/dsr";
pub const DELIVERY: &str = "trigon.dev/delivery";
pub const BACKENDS: &str = "trigon.dev/backends";
pub const NEW_FLOWS: &str = "trigon.dev/new-flows-per-second";
pub const HEALTH_CHECK: &str = "trigon.dev/health-check";
pub const NODE_ADDRESS: &str = "trigon.dev/node-address";

/// The addresses that it asks for, at most one of each family.
pub const LOAD_BALANCER_IPS: &str = "trigon.dev/load-balancer-ips";
pub const ALLOW_SHARED_IP: &str = "trigon.dev/allow-shared-ip";

/// The last two are MetalLB's, for Services that were made for it.
pub const SHARING: &[&str] =
    &[ALLOW_SHARED_IP, "metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"];

/// All that a Service may have. The last two belong to address management.
pub const OF_SERVICE: &[&str] = &[
    DSR,
    DELIVERY,
    BACKENDS,
    NEW_FLOWS,
    HEALTH_CHECK,
    ALLOW_SHARED_IP,
    "trigon.dev/address-pool",
    LOAD_BALANCER_IPS,
];
pub const OF_NODE: &[&str] = &[NODE_ADDRESS];

/// The path of an annotation's field.
pub fn field(annotation: &str) -> String {
    format!("metadata.annotations[{annotation}]")
}

/// Problems of unknown annotations with our prefix: most likely typing errors, which would otherwise be
/// ignored silently. Those of a newer release are among them, and must not hold up what else changes.
pub fn unknown_annotations(object: &ObjectRef, annotations: &Labels, known: &[&str]) -> Vec<Problem> {
    let names = annotations.names();
    names
        .filter(|name| name.starts_with(PREFIX) && !known.contains(name))
        .map(|name| {
            let remedy = format!("use one of {}, or remove it", known.join(", "));
            Complaint::left_out("unknown annotation", remedy).into_problem(object, field(name))
        })
        .collect()
}

/// The value of an annotation that is one of a few words; absent is `T::default()`.
pub fn parse_choice<T: Copy + Default>(
    annotations: &Labels,
    annotation: &str,
    words: &[(&str, T)],
) -> Result<T, Complaint> {
    let Some(written) = annotations.get(annotation) else { return Ok(T::default()) };
    match words.iter().find(|(word, _)| *word == written) {
        Some((_, meaning)) => Ok(*meaning),
        None => {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            let remedy = match words.as_slice() {
                [only] => format!("write {only}, or remove the annotation"),
                several => format!("write one of {}", several.join(", ")),
            };
            Err(Complaint::new(format!("`{written}` is not a value of it"), remedy))
        }
    }
}

pub const BOOLEANS: &[(&str, bool)] = &[("true", true), ("false", false)];
/// True: servers that own the VIP themselves.
pub const BACKEND_KINDS: &[(&str, bool)] = &[("bare", true)];
pub const DELIVERIES: &[(&str, DeliveryMode)] = &[
    ("auto", DeliveryMode::Auto),
    ("l2", DeliveryMode::L2),
    ("ipip", DeliveryMode::Ipip),
    ("gue", DeliveryMode::Gue),
];
