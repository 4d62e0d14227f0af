//! The state machine of a peer: when to connect, which messages to send, when to give up
//! (RFC 4271, section 8). No IO and no clock: events and the time are passed in, actions are
//! returned.
//!
//! ```text
//!   Peer ── Idle
//!     └──── Open ── calling: Dormant | Waiting | Connecting | Connection
//!             └──── incoming: Connection?
//!   Connection ── OpenSent ──> OpenConfirm ──> Established
//! ```
//! The RFC's states `Idle`, `Connect` and `Active` are states of a peer, the other three of a
//! connection. There are two connections while both sides call at once (section 6.8).

mod bfd;
mod connection;
mod events;
mod jitter;
mod negotiate;
mod peer;
mod retries;

pub use connection::{Cause, Connection, ConnectionEnd, ConnectionEvent};
pub use events::{ConnectionRole, PeerAction, PeerEvent};
pub use jitter::Jitter;
pub use negotiate::{Negotiated, Restart};
pub use peer::PeerFsm;

#[cfg(test)]
mod tests;
