//! What the maps have no room for.

use std::{net::IpAddr, sync::Arc};

use lb_common::Addr;

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

/// A start makes maps larger, with all that is in them.
macro_rules! lack {
    ($map:literal, $option:literal) => {
        concat!("no room in ", $map, "; restart the agent with a larger ", $option)
    };
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

    /// The map, and the remedy.
    pub fn lack(&self) -> &'static str {
        match self {
            Self::Services(_) => lack!("SERVICES", "--max-services"),
            Self::Endpoints(_) => lack!("ENDPOINTS", "--max-endpoints"),
            Self::Rings(_) => lack!("RINGS for its ring", "--ring-slots"),
            Self::Histories(_) => lack!("HISTORY for its former owners", "--history-slots"),
            Self::Ranges(_) => lack!("RANGES for its source ranges", "--max-ranges"),
            Self::Backends(_) => lack!("BACKENDS", "--max-backends"),
            Self::Vips(_) => lack!("VIPS", "--max-services"),
            Self::Peers(_) => lack!("PEERS", "--max-backends"),
        }
    }
}
