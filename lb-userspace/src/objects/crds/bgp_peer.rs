use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, Hidden};

/// A router that nodes tell of VIPs by BGP (RFC 4271).
#[derive(CustomResource, Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "trigon.dev",
    version = "v1alpha1",
    kind = "BgpPeer",
    namespaced,
    derive = "PartialEq",
    doc = "A router that nodes tell of VIPs by BGP"
)]
#[serde(rename_all = "camelCase")]
pub struct BgpPeerSpec {
    /// Our AS.
    #[serde(rename = "myASN")]
    pub my_asn: u32,
    /// The peer's AS. Either this or dynamicASN.
    #[serde(default, rename = "peerASN", skip_serializing_if = "Option::is_none")]
    pub peer_asn: Option<u32>,
    /// Whatever AS the peer says, if it is ours (internal), or another (external).
    #[serde(default, rename = "dynamicASN", skip_serializing_if = "Option::is_none")]
    pub dynamic_asn: Option<DynamicAsn>,
    /// Either this or interface, or both for a link-local address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_address: Option<String>,
    /// Unnumbered: whoever is the router on this interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// 179 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_port: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_address: Option<String>,
    /// BGP identifier; the node's IPv4 address without it, or, where it has none, a
    /// number made of its name.
    #[serde(default, rename = "routerID", skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    /// 0s, or 3s to 65535s; 90s without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_time: Option<Duration>,
    /// A third of the hold time without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_time: Option<Duration>,
    /// 1s to 65535s: how long to wait before connecting again; 10s without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_time: Option<Duration>,
    /// On which nodes; on all without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_selectors: Vec<LabelSelector>,
    /// TCP MD5 (RFC 2385), up to 80 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Hidden>,
    /// A Secret of type kubernetes.io/basic-auth with the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret: Option<SecretReference>,
    /// Name of a BfdProfile: the session falls with its BFD session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bfd_profile: Option<String>,
    /// BFD to a peer of our own AS that is not on our link (RFC 5883). To one of
    /// another AS, ebgpMultiHop says that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bfd_multi_hop: Option<bool>,
    /// The peer keeps our routes while the agent restarts (RFC 4724).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_graceful_restart: Option<bool>,
    /// 1s to 4095s: for how long; 120s without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_restart_time: Option<Duration>,
    /// The peer is of another AS, and not on our link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ebgp_multi_hop: Option<bool>,
    /// 1 to 254: GTSM (RFC 5082), accept only packets of a peer that is at most so many hops away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_security: Option<u32>,
    /// Wait for the peer to connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passive: Option<bool>,
    /// Routes of the session's own address family only.
    #[serde(default, rename = "disableMP", skip_serializing_if = "Option::is_none")]
    pub disable_mp: Option<bool>,
    /// Routes of both address families, as without disableMP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dual_stack_address_family: Option<bool>,
    /// The next hop of IPv4 routes; the session's address without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop_v4: Option<String>,
    /// The next hop of IPv6 routes; the session's or the node's address without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop_v6: Option<String>,
}

/// The AS of a peer whose number is not written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DynamicAsn {
    Internal,
    External,
}

/// Where a password is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    pub name: String,
    /// That of the peer without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
