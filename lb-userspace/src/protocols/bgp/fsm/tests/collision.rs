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
