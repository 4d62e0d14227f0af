//! What a peer's state machine is told, and what it wants done.

use std::sync::Arc;

use super::{Cause, Event, Negotiated};
use crate::protocols::{
    bfd,
    bgp::wire::{Message, Notification},
};

/// Who made a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// We did.
    Outgoing,
    /// The peer did.
    Incoming,
}

impl Role {
    pub const BOTH: [Self; 2] = [Self::Outgoing, Self::Incoming];

    pub fn other(self) -> Self {
        match self {
            Self::Outgoing => Self::Incoming,
            Self::Incoming => Self::Outgoing,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// Be up (ManualStart).
    Start,
    /// Be down, and stay so (ManualStop).
    Stop(Notification),
    /// What [`Output::Connect`] asked for is there.
    Connected,
    ConnectFailed(String),
    /// The peer has connected to us.
    Accepted,
    /// It is known where the peer is: don't wait.
    Found,
    Of(Role, Event),
    Bfd(Option<bfd::Status>),
    Timer,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Make a connection.
    Connect,
    /// Stop making it.
    Abandon,
    /// The connection that was just made is the one of this role.
    Adopt(Role),
    /// It is not wanted: close it.
    Refuse(Role),
    Send(Role, Message),
    /// After what was sent on it.
    Close(Role),
    /// The session is established.
    Up(Role, Arc<Negotiated>),
    /// A connection has ended, or none could be made (role: none).
    Ended {
        role: Option<Role>,
        was_established: bool,
        cause: Cause,
    },
    /// UPDATE or ROUTE-REFRESH, of the established session.
    Deliver(Message),
}
