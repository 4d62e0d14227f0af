//! BGP-4 (RFC 4271) as far as a speaker needs it that only announces: every
//! route it is offered is refused and counted; we are no router.
pub mod config;
pub mod fsm;
pub mod peering;
pub mod rib;
pub mod speaker;
pub mod status;
pub mod wire;

pub use config::{Attributes, LargeCommunity, PeerConfig, Remote, RemoteAs, Routes, Wanted};
pub use status::{PeerStatus, State};

#[cfg(test)]
mod testing;
