//! Our own kinds, of `trigon.dev/v1alpha1`: the types that files and the API
//! server are read with, and that the CRDs are made of. All but AgentReport, which agents write, are read by them.
//!
//! A field that MetalLB has too has MetalLB's name and meaning. What may be in
//! a field is checked by `translate`, which can say what to do about it; an API server
//! refuses part of that by the schema and its `rules`.
mod address_pool;
mod agent_report;
mod bfd_profile;
mod bgp_advertisement;
mod bgp_peer;
mod community;
mod duration;
mod hidden;
mod l2_advertisement;
mod rules;
#[cfg(test)]
mod tests;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use address_pool::{AddressPool, AddressPoolSpec, MAX_ADDRESSES, ServiceAllocation};
pub use agent_report::{
    AgentException, AgentReport, AgentReportSpec, AgentRole, MAX_EXCEPTIONS, ReportedServices,
    exception_reasons,
};
pub use bfd_profile::{BfdProfile, BfdProfileSpec};
pub use bgp_advertisement::{BgpAdvertisement, BgpAdvertisementSpec};
pub use bgp_peer::{BgpPeer, BgpPeerSpec, DynamicAsn, SecretReference};
pub use community::{Community, CommunityAlias, CommunitySpec, MAX_COMMUNITIES};
pub use duration::Duration;
pub use hidden::Hidden;
pub use l2_advertisement::{L2Advertisement, L2AdvertisementSpec, MAX_INTERFACES};

/// The group of all of them.
pub const GROUP: &str = "trigon.dev";
pub const VERSION: &str = "v1alpha1";

/// The definition of each of our kinds, as an API server wants it.
pub fn definitions() -> [CustomResourceDefinition; 7] {
    [
        AddressPool::crd(),
        BgpPeer::crd(),
        BgpAdvertisement::crd(),
        L2Advertisement::crd(),
        BfdProfile::crd(),
        Community::crd(),
        AgentReport::crd(),
    ]
}
