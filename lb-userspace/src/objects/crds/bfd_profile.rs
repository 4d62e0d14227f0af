use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    pub receive_interval: Option<u32>,
    /// Milliseconds, 10 to 60000: how often to send; 300 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transmit_interval: Option<u32>,
    /// 2 to 255: how many packets may be missing; 3 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect_multiplier: Option<u32>,
    /// Echo is not done: must not be true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo_mode: Option<bool>,
    /// Milliseconds, 10 to 60000: of no effect, as long as there is no echo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo_interval: Option<u32>,
    /// Wait for the peer to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passive_mode: Option<bool>,
    /// 1 to 254: over several hops, the least TTL that a packet may come with; 254 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_ttl: Option<u32>,
}
