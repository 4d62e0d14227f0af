//! The kinds of objects that Trigon reads.

use std::fmt;

use crate::objects::crds;

/// A kind of object that Trigon reads. `Display` gives the name in manifests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    Service,
    EndpointSlice,
    Node,
    Secret,
    AddressPool,
    BgpPeer,
    BgpAdvertisement,
    L2Advertisement,
    BfdProfile,
    Community,
    /// Written by agents, and read by the controller alone.
    AgentReport,
}

impl Kind {
    /// Those that agents read.
    pub const ALL: [Self; 10] = [
        Self::Service,
        Self::EndpointSlice,
        Self::Node,
        Self::Secret,
        Self::AddressPool,
        Self::BgpPeer,
        Self::BgpAdvertisement,
        Self::L2Advertisement,
        Self::BfdProfile,
        Self::Community,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Node => "Node",
            Self::Secret => "Secret",
            Self::AddressPool => "AddressPool",
            Self::BgpPeer => "BgpPeer",
            Self::BgpAdvertisement => "BgpAdvertisement",
            Self::L2Advertisement => "L2Advertisement",
            Self::BfdProfile => "BfdProfile",
            Self::Community => "Community",
            Self::AgentReport => "AgentReport",
        }
    }

    /// The API group; empty for the core group.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Service | Self::Node | Self::Secret => "",
            Self::EndpointSlice => "discovery.k8s.io",
            _ => crds::GROUP,
        }
    }

    pub const fn version(self) -> &'static str {
        match self {
            Self::Service | Self::Node | Self::Secret | Self::EndpointSlice => "v1",
            _ => crds::VERSION,
        }
    }

    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::Node)
    }

    /// Is it about announcing VIPs? A problem with such an object affects only
    /// announcements.
    pub const fn is_announcing(self) -> bool {
        !matches!(self, Self::Service | Self::EndpointSlice | Self::Node | Self::AgentReport)
    }

    /// Nothing waits until all of them are listed: addresses are given whether agents report or not.
    pub const fn is_optional(self) -> bool {
        matches!(self, Self::AgentReport)
    }

    /// The kinds of an API group that agents read.
    pub fn of_group(group: &str) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |kind| kind.group() == group)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
