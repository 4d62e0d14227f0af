//! The events of a peer's state machine, and the actions it demands.

use std::sync::Arc;

use super::{Cause, ConnectionEvent, Negotiated};
use crate::protocols::{
    bfd,
    bgp::wire::{Message, Notification},
};

/// Which side made a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConnectionRole {
    /// We did.
    Outgoing,
    /// The peer did.
    Incoming,
}

impl ConnectionRole {
    pub const BOTH: [Self; 2] = [Self::Outgoing, Self::Incoming];

    pub fn other(self) -> Self {
        match self {
            Self::Outgoing => Self::Incoming,
            Self::Incoming => Self::Outgoing,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerEvent {
    /// Begin, and try to keep a session (ManualStart).
    Start,
    /// End the session with this NOTIFICATION, and stay down (ManualStop).
    Stop(Notification),
    /// The connection that [`PeerAction::Connect`] demanded has been made.
    Connected,
    ConnectFailed(String),
    /// The peer has connected to us.
    Accepted,
    /// The peer has been discovered: connect now instead of waiting.
    Found,
    /// An event of one of the connections.
    Of(ConnectionRole, ConnectionEvent),
    Bfd(Option<bfd::SessionStatus>),
    Timer,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerAction {
    /// Connect to the peer.
    Connect,
    /// Give up connecting.
    Abandon,
    /// Keep the connection that was just made, in this role.
    Adopt(ConnectionRole),
    /// Close the connection that was just made.
    Refuse(ConnectionRole),
    Send(ConnectionRole, Message),
    /// Close the connection once everything has been sent on it.
    Close(ConnectionRole),
    /// The session is established.
    Up(ConnectionRole, Arc<Negotiated>),
    /// A connection has ended, or none could be made (role: none).
    Ended {
        role: Option<ConnectionRole>,
        was_established: bool,
        cause: Cause,
    },
    /// UPDATE or ROUTE-REFRESH, of the established session.
    RouteMessage(Message),
}
