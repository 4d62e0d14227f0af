use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{connection::ConnectionAction, negotiate::negotiate, *};
use crate::protocols::{
    bfd::SessionStatus,
    bgp::{
        State,
        config::{Families, PeerConfig, RemoteAs},
        testing,
        wire::{
            Capability, Family, GracefulRestart, Message, Notification, Open, RefreshKind, RouteRefresh,
            Update, code,
        },
    },
};

mod collision;
mod connection_cells;
mod negotiation;
mod peer_cells;
mod properties;
mod retries;

const SECOND: Duration = Duration::from_secs(1);
/// Longer than any timer.
const AGES: Duration = Duration::from_secs(1000);

/// The OPEN of 65002, 10.0.0.2, that our config expects.
fn their_open() -> Open {
    their_open_with(65_002, Ipv4Addr::new(10, 0, 0, 2))
}

fn their_open_with(asn: u32, router_id: Ipv4Addr) -> Open {
    let restart = GracefulRestart { restarted: false, notification: true, time: 60, families: Vec::new() };
    let capabilities = vec![
        Capability::MultiProtocol(Family::Ipv4),
        Capability::MultiProtocol(Family::Ipv6),
        Capability::GracefulRestart(restart),
    ];
    Open::new(asn, 30, router_id, capabilities)
}

fn without_graceful_restart() -> Open {
    let mut open = their_open();
    open.capabilities.retain(|capability| !matches!(capability, Capability::GracefulRestart(_)));
    open
}

fn bad_as() -> Open {
    their_open_with(65_003, Ipv4Addr::new(10, 0, 0, 2))
}

fn received(message: Message) -> ConnectionEvent {
    ConnectionEvent::Received(message)
}

fn cease() -> Notification {
    Notification::new(code::ADMINISTRATIVE_SHUTDOWN)
}

fn refresh() -> Message {
    Message::RouteRefresh(RouteRefresh::new(Family::Ipv4, RefreshKind::Request))
}

fn peer_with(config: PeerConfig, now: Instant) -> PeerFsm {
    let mut peer = PeerFsm::new(Arc::new(config), Restart::default(), Jitter::seeded(1));
    peer.process(PeerEvent::Start, now);
    peer
}

/// Outputs in a few words.
fn actions_text(outputs: &[PeerAction]) -> String {
    let words: Vec<_> = outputs.iter().map(action_text).collect();
    words.join(", ")
}

fn action_text(output: &PeerAction) -> String {
    let side = |role: &ConnectionRole| if *role == ConnectionRole::Outgoing { "out" } else { "in" };
    match output {
        PeerAction::Connect => "connect".into(),
        PeerAction::Abandon => "abandon".into(),
        PeerAction::Adopt(role) => format!("adopt {}", side(role)),
        PeerAction::Refuse(role) => format!("refuse {}", side(role)),
        PeerAction::Send(role, Message::Notification(told)) => {
            format!("{} {}/{}", side(role), told.code.0, told.code.1)
        }
        PeerAction::Send(role, message) => format!("{} {}", side(role), message.name()),
        PeerAction::Close(role) => format!("close {}", side(role)),
        PeerAction::Up(role, _) => format!("up {}", side(role)),
        PeerAction::Ended { role, was_established, cause } => {
            let what = if *was_established { "down" } else { "ended" };
            let cause = match cause {
                Cause::Sent(_) => "sent",
                Cause::Received(_) => "received",
                Cause::Lost(_) => "lost",
            };
            format!("{what} {} {cause}", role.as_ref().map_or("none", side))
        }
        PeerAction::RouteMessage(message) => format!("deliver {}", message.name()),
    }
}
