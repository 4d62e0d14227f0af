//! When to connect, what to say, when to give up (RFC 4271, section 8). No IO
//! and no clock: time and what happened are told, what to do is returned.
//!
//! ```text
//!   Peer ── Idle
//!     └──── Open ── calling: Dormant | Waiting | Connecting | Connection
//!             └──── incoming: Connection?
//!   Connection ── OpenSent ──> OpenConfirm ──> Established
//! ```
//! The RFC's `Idle`, `Connect` and `Active` are of a peer, the other three of a
//! connection, of which there are two while both sides call at once (6.8).

mod bfd;
mod connection;
mod events;
mod jitter;
mod negotiate;
mod peer;
mod retries;

pub use connection::{Cause, Connection, End, Event};
pub use events::{Input, Output, Role};
pub use jitter::Jitter;
pub use negotiate::{Negotiated, Restart};
pub use peer::Peer;

#[cfg(test)]
mod tests;
