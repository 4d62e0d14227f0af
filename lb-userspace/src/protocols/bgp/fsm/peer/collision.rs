//! Collisions: both sides have connected at once, and one connection is kept (RFC 4271,
//! section 6.8).

use std::time::Instant;

use super::PeerFsm;
use crate::protocols::bgp::{
    State,
    fsm::{
        connection::{Connection, ConnectionEnd},
        events::{ConnectionRole, PeerAction},
    },
    wire::{Message, Notification, code},
};

impl PeerFsm {
    /// The peer's OPEN is acceptable: resolves a collision (RFC 4271, section 6.8) and answers.
    pub(super) fn on_open(&mut self, role: ConnectionRole, now: Instant, out: &mut Vec<PeerAction>) {
        let rival = self.connection(role.other()).map_or(State::Idle, Connection::state);
        let loser = match rival {
            State::Established => Some(role),
            State::OpenConfirm if self.is_outgoing_kept(role) => Some(ConnectionRole::Incoming),
            State::OpenConfirm => Some(ConnectionRole::Outgoing),
            _ => None,
        };
        if let Some(loser) = loser {
            self.close_for_collision(loser, now, out);
        }
        if loser != Some(role) {
            out.push(PeerAction::Send(role, Message::KeepAlive));
        }
    }

    /// Is the connection that we made the one to keep? It is if our BGP identifier is higher
    /// than the peer's; between equal ones the AS number decides (RFC 6286, section 2.3).
    fn is_outgoing_kept(&self, role: ConnectionRole) -> bool {
        let theirs = self.connection(role).and_then(Connection::negotiated);
        let theirs = theirs.map(|theirs| (theirs.peer_id, theirs.peer_as));
        Some((self.config.router_id, self.config.local_as)) > theirs
    }

    pub(super) fn close_for_collision(
        &mut self,
        loser: ConnectionRole,
        now: Instant,
        out: &mut Vec<PeerAction>,
    ) {
        self.hang_up(loser, ConnectionEnd::sending(Notification::new(code::COLLISION_RESOLUTION)), now, out);
    }
}
