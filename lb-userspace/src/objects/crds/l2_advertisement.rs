use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{INTERFACE, NO_INTERFACE, each, rule};

/// How many one object may name.
pub const MAX_INTERFACES: usize = 1000;

/// Which VIPs are answered for on the link (ARP, NDP), and by which nodes.
#[derive(CustomResource, Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "trigon.dev",
    version = "v1alpha1",
    kind = "L2Advertisement",
    namespaced,
    derive = "PartialEq",
    doc = "Which VIPs are answered for on the link (ARP, NDP), and by which nodes"
)]
#[serde(rename_all = "camelCase")]
pub struct L2AdvertisementSpec {
    /// Names of AddressPools. With neither names nor selectors: all VIPs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub ip_address_pools: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_address_pool_selectors: Vec<LabelSelector>,
    /// Of which nodes one answers; of all without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_selectors: Vec<LabelSelector>,
    /// VIPs of which Services; all without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_selectors: Vec<LabelSelector>,
    /// On which interfaces; on all that the agent has without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_INTERFACES), inner(length(max = 15)))]
    #[schemars(extend("x-kubernetes-list-type" = "set"), transform = each(rule(INTERFACE, NO_INTERFACE)))]
    pub interfaces: Vec<String>,
}
