//! BGP-4 (RFC 4271) for a speaker that only announces routes. It is no router: every route
//! that a peer offers is refused and counted.
pub mod config;
pub mod fsm;
pub mod peering;
pub mod rib;
pub mod speaker;
pub mod status;
pub mod wire;

pub use config::{Attributes, BgpOrders, LargeCommunity, PeerConfig, Remote, RemoteAs, Routes};
pub use status::{PeerStatus, State};

#[cfg(test)]
mod testing;
