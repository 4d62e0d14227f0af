//! BGP messages, and their encoding.
//!
//! Capabilities and path attributes are coded by `netgauze-bgp-pkt`, which no other module
//! uses. The rest is our own code, since it decides which NOTIFICATION answers a malformed
//! message, and which errors of an UPDATE are tolerated (RFC 7606).

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

pub use attributes::{GRACEFUL_SHUTDOWN, OriginCode, PathAttributes};
pub use capability::{Capability, GracefulRestart};
pub use family::Family;
pub use frame::Decoder;
pub use limits::{EncodeError, HEADER, MAX_MESSAGE};
pub use message::Message;
pub use notification::{Code, Notification, code};
pub use open::{AS_TRANS, Open};
pub use reason::{error_name, error_remedy};
pub use refresh::{RefreshKind, RouteRefresh};
pub use update::{ReachableRoutes, RouteNextHop, Update};

#[cfg(test)]
mod tests;
