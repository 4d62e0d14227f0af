//! What the maps have no room for.

use std::{net::IpAddr, sync::Arc};

use lb_common::{Addr, maps::names};

use super::mirror::Capacity;

/// A map is too small for the plan.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Shortage {
    Services(Arc<str>),
    Endpoints(Arc<str>),
    Rings(Arc<str>),
    Histories(Arc<str>),
    Ranges(Arc<str>),
    Backends(Addr),
    Vips(Addr),
    Peers(Addr),
}

impl Shortage {
    /// What there is no room for.
    pub fn subject(&self) -> String {
        match self {
            Self::Services(name)
            | Self::Endpoints(name)
            | Self::Rings(name)
            | Self::Histories(name)
            | Self::Ranges(name) => format!("Service {name}"),
            Self::Backends(addr) => format!("backend {}", IpAddr::from(*addr)),
            Self::Vips(addr) => format!("VIP {}", IpAddr::from(*addr)),
            Self::Peers(addr) => format!("node address {}", IpAddr::from(*addr)),
        }
    }

    /// The map with its size, and the remedy: a start makes maps larger, with all that is in them.
    pub fn lack(&self, capacity: &Capacity) -> String {
        let (map, size, option) = match self {
            Self::Services(_) => (names::SERVICES, capacity.services, "--max-services"),
            Self::Endpoints(_) => (names::ENDPOINTS, capacity.endpoints, "--max-endpoints"),
            Self::Rings(_) => (names::RINGS, capacity.ring_slots, "--ring-slots"),
            Self::Histories(_) => (names::HISTORY, capacity.history_slots, "--history-slots"),
            Self::Ranges(_) => (names::RANGES, capacity.ranges, "--max-ranges"),
            Self::Backends(_) => (names::BACKENDS, capacity.backends, "--max-backends"),
            Self::Vips(_) => (names::VIPS, capacity.vips, "--max-services"),
            Self::Peers(_) => (names::PEERS, capacity.peers, "--max-backends"),
        };
        format!("no room in {map} ({size}); restart the agent with a larger {option}")
    }
}
