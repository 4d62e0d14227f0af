//! Why a peer has no session, with a remedy, for people.

use super::Peering;
use crate::protocols::bgp::{
    fsm::Cause,
    status::LastError,
    wire::{self, Notification, code},
};

const UNDO_DRAIN: &str = "This node is drained: `trigon drain --undo` brings it back.";

impl Peering {
    pub(super) fn describe_error(&self, cause: &Cause, was_established: bool) -> LastError {
        let (sent, notification) = match cause {
            Cause::Lost(why) => {
                return LastError {
                    name: if was_established { "Connection Lost" } else { "Connection Failed" }.into(),
                    detail: why.clone(),
                    remedy: self.tcp_remedy(was_established),
                    ..LastError::default()
                };
            }
            Cause::Sent(notification) => (true, notification),
            Cause::Received(notification) => (false, notification),
        };
        let inner = notification.unwrap_hard_reset();
        let is_ours = sent && inner.code == code::ADMINISTRATIVE_SHUTDOWN;
        LastError {
            name: wire::error_name(inner.code),
            code: Some(notification.code),
            sent,
            detail: notification.text().or_else(|| wrong_as_detail(&inner, sent)).unwrap_or_default(),
            remedy: if is_ours { UNDO_DRAIN } else { wire::error_remedy(inner.code) }.into(),
            seconds_ago: 0,
        }
    }

    fn tcp_remedy(&self, was_established: bool) -> String {
        if was_established {
            return "The router or its BGP daemon went away, or the link did; the session comes back by itself.".into();
        }
        if self.address.is_none() {
            return "Check that the interface is up with an IPv6 link-local address, and that the router sends \
                    router advertisements there."
                .into();
        }
        let password = match self.config.password {
            Some(_) => "that spec.password is the same on both sides",
            None => "that the router wants no password (spec.password)",
        };
        let ttl = match self.config.ttl_security {
            Some(_) => "that both sides have TTL security on, and enough hops; ",
            None => "",
        };
        let port = self.config.port;
        format!(
            "Check that the address is right and answers; that BGP runs there and expects this node; {password}; \
             {ttl}that no firewall drops TCP port {port} (spec.peerPort)."
        )
    }
}

/// If we refused the peer's OPEN for its AS: which AS that was.
fn wrong_as_detail(notification: &Notification, sent: bool) -> Option<String> {
    let asn: [u8; 4] =
        notification.data[..].try_into().ok().filter(|_| sent && notification.code == code::BAD_PEER_AS)?;
    Some(format!("the router is of AS {}", u32::from_be_bytes(asn)))
}
