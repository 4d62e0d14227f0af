//! BGP messages: what they say, and how that looks on the wire.
//!
//! Capabilities and path attributes are coded by `netgauze-bgp-pkt`, which is
//! seen nowhere but here. What is around them is ours: it decides which
//! NOTIFICATION a bad message deserves, and what of a bad UPDATE is to be
//! borne (RFC 7606).

mod attributes;
mod capability;
mod family;
mod frame;
mod limits;
mod message;
mod notification;
mod open;
mod reader;
mod reason;
mod refresh;
mod update;

pub use attributes::{GRACEFUL_SHUTDOWN, Origin, PathAttributes};
pub use capability::{Capability, GracefulRestart};
pub use family::Family;
pub use frame::Decoder;
pub use limits::{EncodeError, HEADER, MAX_MESSAGE};
pub use message::Message;
pub use notification::{Code, Notification, code};
pub use open::{AS_TRANS, Open};
pub use reason::{name, remedy};
pub use refresh::{RefreshKind, RouteRefresh};
pub use update::{NextHop, Reach, Update};

#[cfg(test)]
mod tests;
