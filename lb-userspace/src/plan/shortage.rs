//! What the maps have no room for.

use std::sync::Arc;

use lb_common::Addr;
use thiserror::Error;

/// A map is too small for the plan.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Error)]
pub enum Shortage {
    #[error("Service {0}: no room in SERVICES; start the agent with a larger --max-services")]
    Services(Arc<str>),
    #[error("Service {0}: no room in ENDPOINTS; start the agent with a larger --max-endpoints")]
    Endpoints(Arc<str>),
    #[error("Service {0}: no room in RINGS for its ring; start the agent with a larger --ring-slots")]
    Rings(Arc<str>),
    #[error(
        "Service {0}: no room in HISTORY for its former owners; start the agent with a larger --history-slots"
    )]
    Histories(Arc<str>),
    #[error(
        "Service {0}: no room in RANGES for its source ranges; start the agent with a larger --max-ranges"
    )]
    Ranges(Arc<str>),
    #[error("backend {0}: no room in BACKENDS; start the agent with a larger --max-backends")]
    Backends(Addr),
    #[error("VIP {0}: no room in VIPS; start the agent with a larger --max-services")]
    Vips(Addr),
    #[error("node address {0}: no room in PEERS; start the agent with a larger --max-backends")]
    Peers(Addr),
}
