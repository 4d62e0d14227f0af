use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::rule;

/// How quickly BFD (RFC 5880) notices that a peer is gone.
#[derive(CustomResource, Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "trigon.dev",
    version = "v1alpha1",
    kind = "BfdProfile",
    namespaced,
    derive = "PartialEq",
    doc = "How quickly BFD (RFC 5880) notices that a peer is gone"
)]
#[serde(rename_all = "camelCase")]
pub struct BfdProfileSpec {
    /// Milliseconds, 10 to 60000: how often packets may come at most; 300 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60_000))]
    pub receive_interval: Option<u32>,
    /// Milliseconds, 10 to 60000: how often to send; 300 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60_000))]
    pub transmit_interval: Option<u32>,
    /// 2 to 255: how many packets may be missing; 3 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 255))]
    pub detect_multiplier: Option<u32>,
    /// Echo is not done: must not be true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = rule("!self", "echo is not supported; remove it, and set the intervals as short as they need be"))]
    pub echo_mode: Option<bool>,
    /// Milliseconds, 10 to 60000: of no effect, as long as there is no echo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10, max = 60_000))]
    pub echo_interval: Option<u32>,
    /// Wait for the peer to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passive_mode: Option<bool>,
    /// 1 to 254: over several hops, the least TTL that a packet may come with; 254 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 254))]
    pub minimum_ttl: Option<u32>,
}
