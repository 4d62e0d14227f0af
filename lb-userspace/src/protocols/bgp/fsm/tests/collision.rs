//! Both sides call at once (RFC 4271, 6.8; RFC 6286, 2.3): one connection stays,
//! and both sides keep the same.

use super::*;

fn received_on(role: ConnectionRole, message: Message) -> PeerEvent {
    PeerEvent::Of(role, received(message))
}

fn peer_with_two_connections(router_id: Ipv4Addr, local_as: u32, now: Instant) -> PeerFsm {
    let config = PeerConfig { router_id, local_as, remote_as: RemoteAs::External, ..testing::config() };
    let mut peer = peer_with(config, now);
    assert_eq!(actions_text(&peer.process(PeerEvent::Accepted, now)), "adopt in, in OPEN");
    assert_eq!(actions_text(&peer.process(PeerEvent::Connected, now)), "adopt out, out OPEN");
    peer
}

#[test]
fn the_higher_identifier_or_as_keeps_the_connection_that_it_made() {
    let now = Instant::now();
    let (low, high) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 9));
    let table = [
        (high, 65_001, low, 65_002, ConnectionRole::Outgoing),
        (low, 65_001, high, 65_002, ConnectionRole::Incoming),
        (low, 65_009, high, 65_002, ConnectionRole::Incoming),
        (low, 65_001, low, 65_002, ConnectionRole::Incoming),
        (low, 65_003, low, 65_002, ConnectionRole::Outgoing),
    ];
    for (our_id, our_as, their_id, their_as, winner) in table {
        for first in ConnectionRole::BOTH {
            let mut peer = peer_with_two_connections(our_id, our_as, now);
            let open = || Message::Open(their_open_with(their_as, their_id));
            let second = first.other();
            let mut outputs = peer.process(received_on(first, open()), now);
            outputs.extend(peer.process(received_on(second, open()), now));
            let loser = if winner == ConnectionRole::Outgoing { "in" } else { "out" };
            let words = actions_text(&outputs);
            assert!(words.contains(&format!("{loser} 6/7, close {loser}")), "{words}");
            let keepalive = |role| PeerAction::Send(role, Message::KeepAlive);
            assert!(outputs.contains(&keepalive(winner)));
            // A losing connection whose OPEN comes second is closed without KEEPALIVE.
            assert_eq!(outputs.contains(&keepalive(winner.other())), first != winner);
            let up = peer.process(received_on(winner, Message::KeepAlive), now);
            assert!(matches!(up[..], [PeerAction::Up(role, _)] if role == winner));
            assert_eq!(peer.process(received_on(winner.other(), Message::KeepAlive), now), []);
        }
    }
}

/// While there are two connections: on none of them, or on one, the peer's OPEN has come. (The second
/// OPEN resolves the collision, so that both are never in OpenConfirm.) What follows from each event,
/// if our identifier is the higher one, and if it is the lower.
#[test]
fn every_event_of_two_connections_has_its_outcome() {
    use ConnectionRole::{Incoming, Outgoing};
    let now = Instant::now();
    let (low, high) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 9));
    let open = |their_id| Message::Open(their_open_with(65_002, their_id));
    let lost = || ConnectionEvent::Lost("reset".into());
    let events = |their_id| {
        [
            received_on(Outgoing, open(their_id)),
            received_on(Incoming, open(their_id)),
            received_on(Outgoing, Message::KeepAlive),
            received_on(Incoming, Message::KeepAlive),
            PeerEvent::Of(Outgoing, lost()),
            PeerEvent::Of(Incoming, lost()),
            PeerEvent::Accepted,
        ]
    };
    let same = |outcome: &'static str| [outcome; 2];
    let table = [
        (
            None,
            [
                same("out KEEPALIVE | OpenConfirm"),
                same("in KEEPALIVE | OpenConfirm"),
                same("out 5/1, close out, ended out sent | OpenSent"),
                same("in 5/1, close in, ended in sent | OpenSent"),
                same("close out, ended out lost | OpenSent"),
                same("close in, ended in lost | OpenSent"),
                same("close in, ended in lost, adopt in, in OPEN | OpenSent"),
            ],
        ),
        (
            Some(Outgoing),
            [
                same("out 5/2, close out, ended out sent | OpenSent"),
                [
                    "in 6/7, close in, ended in sent | OpenConfirm",
                    "out 6/7, close out, ended out sent, in KEEPALIVE | OpenConfirm",
                ],
                same("in 6/7, close in, ended in sent, up out | Established"),
                same("in 5/1, close in, ended in sent | OpenConfirm"),
                same("close out, ended out lost | OpenSent"),
                same("close in, ended in lost | OpenConfirm"),
                same("close in, ended in lost, adopt in, in OPEN | OpenConfirm"),
            ],
        ),
        (
            Some(Incoming),
            [
                [
                    "in 6/7, close in, ended in sent, out KEEPALIVE | OpenConfirm",
                    "out 6/7, close out, ended out sent | OpenConfirm",
                ],
                same("in 5/2, close in, ended in sent | OpenSent"),
                same("out 5/1, close out, ended out sent | OpenConfirm"),
                same("out 6/7, close out, ended out sent, up in | Established"),
                same("close out, ended out lost | OpenConfirm"),
                same("close in, ended in lost | OpenSent"),
                same("close in, ended in lost, adopt in, in OPEN | OpenSent"),
            ],
        ),
    ];
    for (opened, outcomes) in table {
        for (rank, (our_id, their_id)) in [(high, low), (low, high)].into_iter().enumerate() {
            for (event, outcome) in events(their_id).into_iter().zip(outcomes) {
                let mut peer = peer_with_two_connections(our_id, 65_001, now);
                if let Some(role) = opened {
                    peer.process(received_on(role, open(their_id)), now);
                }
                let actions = actions_text(&peer.process(event.clone(), now));
                let found = format!("{actions} | {:?}", peer.state());
                assert_eq!(found, outcome[rank], "{event:?}, OPEN has come: {opened:?}, we are {our_id}");
            }
        }
    }
}

/// How far the older connection is when the OPEN of the newer comes.
#[test]
fn an_established_session_outlives_every_newcomer() {
    let now = Instant::now();
    let (low, high) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 9));
    for (our_id, their_id) in [(low, high), (high, low)] {
        for older in ConnectionRole::BOTH {
            let mut peer = peer_with_two_connections(our_id, 65_001, now);
            let open = Message::Open(their_open_with(65_002, their_id));
            peer.process(received_on(older, open.clone()), now);
            let up = peer.process(received_on(older, Message::KeepAlive), now);
            let newer = if older == ConnectionRole::Outgoing { "in" } else { "out" };
            let older_word = if older == ConnectionRole::Outgoing { "out" } else { "in" };
            let expected = format!("{newer} 6/7, close {newer}, ended {newer} sent, up {older_word}");
            assert_eq!(actions_text(&up), expected);
            assert_eq!(peer.process(received_on(older.other(), open), now), []);
            assert_eq!(peer.state(), State::Established);
        }
    }
}

/// Two speakers, joined by two connections, with every order of delivery.
#[test]
fn both_sides_keep_the_same_connection() {
    let now = Instant::now();
    let (low, high) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 9));
    for order in 0..16_u32 {
        let mut us = peer_with_two_connections(low, 65_001, now);
        let mut them = peer_with_two_connections(high, 65_002, now);
        let (our_open, their_open) = (their_open_with(65_001, low), their_open_with(65_002, high));
        // Connection A is made by us, B by them.
        let (a_us, a_them) = (ConnectionRole::Outgoing, ConnectionRole::Incoming);
        let mut to_us = vec![
            received_on(a_us, Message::Open(their_open.clone())),
            received_on(a_us.other(), Message::Open(their_open)),
        ];
        let mut to_them = vec![
            received_on(a_them, Message::Open(our_open.clone())),
            received_on(a_them.other(), Message::Open(our_open)),
        ];
        if order & 1 != 0 {
            to_us.reverse();
        }
        if order & 2 != 0 {
            to_them.reverse();
        }
        let mut pending: Vec<(bool, PeerEvent)> = Vec::new();
        for (index, (ours, other)) in to_us.into_iter().zip(to_them).enumerate() {
            let both = [(true, ours), (false, other)];
            let swap = order & (4 << index) != 0;
            pending.extend(if swap { both.into_iter().rev().collect::<Vec<_>>() } else { both.to_vec() });
        }
        let mut queue = std::collections::VecDeque::from(pending);
        while let Some((is_ours, input)) = queue.pop_front() {
            let outputs = if is_ours { us.process(input, now) } else { them.process(input, now) };
            for output in outputs {
                match output {
                    PeerAction::Send(role, message @ (Message::KeepAlive | Message::Notification(_))) => {
                        queue.push_back((!is_ours, received_on(role.other(), message)));
                    }
                    PeerAction::Close(role) => {
                        queue.push_back((
                            !is_ours,
                            PeerEvent::Of(role.other(), ConnectionEvent::Lost("closed".into())),
                        ));
                    }
                    _ => {}
                }
            }
        }
        assert_eq!((us.state(), them.state()), (State::Established, State::Established), "order {order}");
    }
}
