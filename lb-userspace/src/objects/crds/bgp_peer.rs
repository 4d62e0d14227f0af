use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Duration, Hidden,
    duration::{duration_rule, within_seconds},
    rules::{
        ADDRESS, AS, INTERFACE, LONGEST_ADDRESS, NO_ADDRESS, NO_AS, NO_INTERFACE, rule, rules_of_fields,
    },
};

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
#[schemars(transform = rules_of_fields(RULES))]
pub struct BgpPeerSpec {
    /// Our AS.
    #[serde(rename = "myASN")]
    #[schemars(range(max = u32::MAX), transform = rule(AS, NO_AS))]
    pub my_asn: u32,
    /// The peer's AS. Either this or dynamicASN.
    #[serde(default, rename = "peerASN", skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = u32::MAX), transform = rule(AS, NO_AS))]
    pub peer_asn: Option<u32>,
    /// Whatever AS the peer says, if it is ours (internal), or another (external).
    #[serde(default, rename = "dynamicASN", skip_serializing_if = "Option::is_none")]
    pub dynamic_asn: Option<DynamicAsn>,
    /// Either this or interface, or both for a link-local address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = LONGEST_ADDRESS), transform = rule(ADDRESS, NO_ADDRESS))]
    pub peer_address: Option<String>,
    /// Unnumbered: whoever is the router on this interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 15), transform = rule(INTERFACE, NO_INTERFACE))]
    pub interface: Option<String>,
    /// 179 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub peer_port: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = LONGEST_ADDRESS), transform = rule(ADDRESS, NO_ADDRESS))]
    pub source_address: Option<String>,
    /// BGP identifier; the node's IPv4 address without it, or, where it has none, a
    /// number made of its name.
    #[serde(default, rename = "routerID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = LONGEST_ADDRESS), transform = rule(ROUTER_ID, NO_ROUTER_ID))]
    pub router_id: Option<String>,
    /// 0s, or 3s to 65535s; 90s without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = within_seconds(0..=65535), transform = duration_rule(HOLD_TIME, SHORT_HOLD_TIME))]
    pub hold_time: Option<Duration>,
    /// A third of the hold time without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = within_seconds(0..=21845))]
    pub keepalive_time: Option<Duration>,
    /// 1s to 65535s: how long to wait before connecting again; 10s without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = within_seconds(1..=65535))]
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
    #[schemars(transform = within_seconds(1..=4095))]
    pub graceful_restart_time: Option<Duration>,
    /// The peer is of another AS, and not on our link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ebgp_multi_hop: Option<bool>,
    /// 1 to 254: GTSM (RFC 5082), accept only packets of a peer that is at most so many hops away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 254))]
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
    #[schemars(length(max = LONGEST_ADDRESS), transform = rule(NEXT_HOP_V4, NO_NEXT_HOP))]
    pub next_hop_v4: Option<String>,
    /// The next hop of IPv6 routes; the session's or the node's address without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = LONGEST_ADDRESS), transform = rule(NEXT_HOP_V6, NO_NEXT_HOP))]
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

const ROUTER_ID: &str = "self.matches('^[0-9]{1,3}([.][0-9]{1,3}){3}$') && self != '0.0.0.0'";
const NO_ROUTER_ID: &str = "is not a router id; write it as an IPv4 address that is not 0.0.0.0, or leave it out: each node has one of its own";

const HOLD_TIME: &str = "duration(self) == duration('0s') || duration(self) >= duration('3s')";
const SHORT_HOLD_TIME: &str =
    "is less than 3s (RFC 4271, 4.2); write 3s or more, or 0s for a session that is never given up";

const NEXT_HOP_V4: &str = "self.matches('^[0-9]{1,3}([.][0-9]{1,3}){3}$')";
const NEXT_HOP_V6: &str = "self.matches('^[0-9a-fA-F.:]*:[0-9a-fA-F.:]*$')";
const NO_NEXT_HOP: &str =
    "is not a next hop; write an address of this field's family by which routers reach the node";

/// Field, rule, and what is told where it is broken. The password's is here because a rule at the field would tell it.
const RULES: &[(&str, &str, &str)] = &[
    (
        "dynamicASN",
        "!(has(self.peerASN) && has(self.dynamicASN))",
        "there is a peerASN, too; remove one of the two",
    ),
    (
        "peerASN",
        "has(self.peerASN) || has(self.dynamicASN)",
        "is missing, as is dynamicASN; write the peer's AS, or dynamicASN: internal or external",
    ),
    (
        "peerAddress",
        "has(self.peerAddress) || has(self.interface)",
        "is missing, as is interface; write the peer's address, or the interface that it is found on",
    ),
    (
        "interface",
        "!has(self.peerAddress) || !has(self.interface) || self.peerAddress.matches('^[fF][eE][89abAB][0-9a-fA-F]:')",
        "there is a peerAddress, too; remove one of the two; only a link-local address needs an interface",
    ),
    (
        "peerAddress",
        "!has(self.peerAddress) || has(self.interface) || !self.peerAddress.matches('^[fF][eE][89abAB][0-9a-fA-F]:')",
        "is a link-local address: on which link?; add the interface",
    ),
    (
        "sourceAddress",
        "!has(self.sourceAddress) || !has(self.peerAddress) || \
         self.sourceAddress.contains(':') == self.peerAddress.contains(':')",
        "is unlike the peer's address; write an address of the same family",
    ),
    (
        "keepaliveTime",
        "!has(self.keepaliveTime) || !has(self.holdTime) || duration(self.keepaliveTime) <= duration(self.holdTime)",
        "is longer than the hold time; write a third of it, or leave it out",
    ),
    (
        "passwordSecret",
        "!(has(self.password) && has(self.passwordSecret))",
        "there is a password, too; remove one of the two",
    ),
    (
        "password",
        "!has(self.password) || (size(self.password) >= 1 && size(self.password) <= 80 && \
         !self.password.contains('\\n') && !self.password.contains('\\r'))",
        "is empty, too long, or has more than one line; use one of 1 to 80 bytes, here and on the router",
    ),
    (
        "ebgpMultiHop",
        "!(has(self.ebgpMultiHop) && self.ebgpMultiHop) || \
         !(has(self.dynamicASN) ? self.dynamicASN == 'internal' : has(self.peerASN) && self.peerASN == self.myASN)",
        "the peer is of the same AS; remove it: a peer of the own AS may be anywhere; for BFD to it, there is bfdMultiHop",
    ),
    (
        "bfdMultiHop",
        "!(has(self.bfdMultiHop) && self.bfdMultiHop) || \
         (has(self.dynamicASN) ? self.dynamicASN == 'internal' : has(self.peerASN) && self.peerASN == self.myASN)",
        "the peer is not known to be of the same AS; remove it: ebgpMultiHop says that of peers of other ASes",
    ),
    (
        "bfdMultiHop",
        "!(has(self.bfdMultiHop) && self.bfdMultiHop) || has(self.bfdProfile)",
        "has no effect without bfdProfile; add a bfdProfile, or remove it",
    ),
    (
        "ttlSecurity",
        "!has(self.ttlSecurity) || !(has(self.ebgpMultiHop) && self.ebgpMultiHop)",
        "there is ebgpMultiHop, too; remove ebgpMultiHop: ttlSecurity says how far away the peer may be",
    ),
    (
        "gracefulRestartTime",
        "!has(self.gracefulRestartTime) || (has(self.enableGracefulRestart) && self.enableGracefulRestart)",
        "has no effect without enableGracefulRestart; add enableGracefulRestart: true, or remove it",
    ),
    (
        "disableMP",
        "!(has(self.disableMP) && self.disableMP && has(self.dualStackAddressFamily) && self.dualStackAddressFamily)",
        "there is dualStackAddressFamily, too; remove one of the two; disableMP is the older name of its opposite",
    ),
];
