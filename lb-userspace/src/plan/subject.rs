//! Who can look dead, so that a plan does without.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use lb_common::maps::ServiceKey;

use super::{names, planned::BackendKey};
use crate::objects::model::DeliveryMode;

/// Whose health it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// A node, by one of the ways in which packets get there.
    Node(BackendKey),
    /// A bare server, in what it does for one service.
    Server(ServiceKey, BackendKey),
}

impl Subject {
    /// On whom it depends that a service's packets arrive at this backend.
    pub fn of(service: &ServiceKey, backend: &BackendKey) -> Self {
        if backend.bare { Self::Server(*service, *backend) } else { Self::node(backend) }
    }

    /// Of a backend that is a node.
    pub fn node(backend: &BackendKey) -> Self {
        match backend.mode {
            DeliveryMode::Ipip => Self::Node(*backend),
            // `l2` has no tunnel of its own.
            DeliveryMode::Auto | DeliveryMode::L2 | DeliveryMode::Gue => {
                Self::Node(BackendKey::fellow(backend.addr))
            }
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(backend) => {
                let tunnel = if backend.mode == DeliveryMode::Ipip { "ipip" } else { "gue" };
                write!(f, "backend {} by {tunnel}", IpAddr::from(backend.addr))
            }
            Self::Server(service, backend) => {
                write!(f, "bare server {} for {}", IpAddr::from(backend.addr), names::frontend(service))
            }
        }
    }
}

/// Those who look dead.
pub type Dead = BTreeSet<Subject>;
