use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::rule;

/// How many one object may name.
pub const MAX_COMMUNITIES: usize = 1000;

/// Names for BGP communities, for use in BgpAdvertisements.
#[derive(CustomResource, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "trigon.dev",
    version = "v1alpha1",
    kind = "Community",
    namespaced,
    derive = "PartialEq",
    doc = "Names for BGP communities"
)]
#[serde(rename_all = "camelCase")]
pub struct CommunitySpec {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_COMMUNITIES))]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub communities: Vec<CommunityAlias>,
}

/// A name for a community.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommunityAlias {
    #[schemars(length(min = 1))]
    pub name: String,
    /// `65000:100`, or `large:65000:1:2` (RFC 8092).
    #[schemars(length(max = 64), transform = rule(VALUE, NO_VALUE))]
    pub value: String,
}

/// Numbers that are too large are left to `translate`.
const VALUE: &str = "self.matches('^([0-9]+:[0-9]+|large:[0-9]+:[0-9]+:[0-9]+|graceful-shutdown|blackhole|no-export|no-advertise|no-export-subconfed|no-peer)$')";
const NO_VALUE: &str = "is not a community; write two numbers up to 65535 (65000:100), or three up to 4294967295 (large:65000:1:2)";
