use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which VIPs BGP peers are told of, by which nodes, and with which attributes.
#[derive(CustomResource, Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "trigon.dev",
    version = "v1alpha1",
    kind = "BgpAdvertisement",
    namespaced,
    derive = "PartialEq",
    doc = "Which VIPs BGP peers are told of, by which nodes, and with which attributes"
)]
#[serde(rename_all = "camelCase")]
pub struct BgpAdvertisementSpec {
    /// 1 to 32: announce the IPv4 prefix of this length around a VIP; 32 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 32))]
    pub aggregation_length: Option<u32>,
    /// 1 to 128: the same for IPv6; 128 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 128))]
    pub aggregation_length_v6: Option<u32>,
    /// LOCAL_PREF, to peers of our own AS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = u32::MAX))]
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = u32::MAX))]
    pub med: Option<u32>,
    /// 0 to 10: how often our AS is put before the path once more, to peers of other ASes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 10))]
    pub prepend: Option<u32>,
    /// Communities: `65000:100`, `large:65000:1:2`, a well-known one (`no-export`), or
    /// the name that a Community object gives to one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub communities: Vec<String>,
    /// Names of AddressPools. With neither names nor selectors: all VIPs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub ip_address_pools: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_address_pool_selectors: Vec<LabelSelector>,
    /// Who announces; all nodes without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_selectors: Vec<LabelSelector>,
    /// VIPs of which Services; all without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_selectors: Vec<LabelSelector>,
    /// Names of BgpPeers who are told; all without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub peers: Vec<String>,
}
