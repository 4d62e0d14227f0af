use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    pub communities: Vec<CommunityAlias>,
}

/// A name for a community.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommunityAlias {
    pub name: String,
    /// `65000:100`, or `large:65000:1:2` (RFC 8092).
    pub value: String,
}
