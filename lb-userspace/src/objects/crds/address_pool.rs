use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{each, rule};

/// Prefixes and ranges that one pool may have.
pub const MAX_ADDRESSES: usize = 1000;

/// Addresses that Services get their VIPs from, and that advertisements choose.
#[derive(CustomResource, Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "trigon.dev",
    version = "v1alpha1",
    kind = "AddressPool",
    namespaced,
    derive = "PartialEq",
    doc = "Addresses that Services get their VIPs from"
)]
#[serde(rename_all = "camelCase")]
pub struct AddressPoolSpec {
    /// Prefixes (192.0.2.0/24) and ranges (192.0.2.10-192.0.2.20).
    #[schemars(length(min = 1, max = MAX_ADDRESSES), inner(length(max = 128)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"), transform = each(rule(RANGE, NO_RANGE)))]
    pub addresses: Vec<String>,
    /// False: only Services that name the pool or an address of it get one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_assign: Option<bool>,
    /// Give out no address that ends with .0 or .255.
    #[serde(default, rename = "avoidBuggyIPs", skip_serializing_if = "Option::is_none")]
    pub avoid_buggy_ips: Option<bool>,
    /// Whom the pool is for; everybody without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_allocation: Option<ServiceAllocation>,
}

/// Whom a pool is for.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAllocation {
    /// Of several pools that are for a Service, the one with the lowest number
    /// above 0 is taken from first, those with 0 last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = u32::MAX))]
    pub priority: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespace_selectors: Vec<LabelSelector>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_selectors: Vec<LabelSelector>,
}

/// Which of them hold addresses that there are is left to `translate`.
const RANGE: &str =
    "self.trim().matches('^[0-9a-fA-F.:]+(/[0-9]+|[[:space:]]*-[[:space:]]*[0-9a-fA-F.:]+)$')";
const NO_RANGE: &str = "is neither a prefix nor a range; write a prefix such as 192.0.2.0/24, or a range such as 192.0.2.10-192.0.2.20";
