//! Nodes and bare servers as subjects of health: a plan avoids those that look dead.

use std::{fmt, net::IpAddr};

use imbl::OrdSet;
use lb_common::{Addr, maps::ServiceKey};

use super::{names, planned::BackendKey};
use crate::objects::model::DeliveryMode;

/// A node or bare server whose health is probed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subject {
    /// A node, as one kind of tunnel reaches it: GUE or IPIP.
    Node(BackendKey),
    /// A bare server, as it serves one service.
    Server(ServiceKey, BackendKey),
}

impl Subject {
    /// The subject on whose health a service's packets to this backend depend.
    pub fn of_backend(service: &ServiceKey, backend: &BackendKey) -> Self {
        if backend.bare { Self::Server(*service, *backend) } else { Self::of_node(backend) }
    }

    /// Where it is reached.
    pub fn addr(&self) -> Addr {
        match self {
            Self::Node(backend) | Self::Server(_, backend) => backend.addr,
        }
    }

    /// The subject of a backend that is a node.
    pub fn of_node(backend: &BackendKey) -> Self {
        match backend.mode {
            DeliveryMode::Ipip => Self::Node(*backend),
            // `l2` has no tunnel: its nodes are probed by GUE.
            DeliveryMode::Auto | DeliveryMode::L2 | DeliveryMode::Gue => {
                Self::Node(BackendKey::fellow_node(backend.addr))
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

/// The subjects that look dead. Cheap to copy.
pub type Dead = OrdSet<Subject>;
