//! When a peer connects again, and when it waits.

use super::*;
use crate::protocols::bfd;

fn time_to_deadline(peer: &PeerFsm, now: Instant) -> Duration {
    peer.next_deadline().unwrap() - now
}

fn assert_about(actual: Duration, full: u64) {
    let full = Duration::from_secs(full);
    assert!((full * 3 / 4..=full).contains(&actual), "{actual:?} is not about {full:?}");
}

#[test]
fn attempts_to_connect_are_made_ever_less_often_up_to_the_connect_retry_time() {
    let mut now = Instant::now();
    let mut peer = peer_with(PeerConfig { connect_retry: 20 * SECOND, ..testing::config() }, now);
    for expected in [1, 2, 4, 8, 16, 20, 20] {
        assert_eq!(peer.state(), State::Connect);
        assert_eq!(
            actions_text(&peer.process(PeerEvent::ConnectFailed("refused".into()), now)),
            "ended none lost"
        );
        assert_eq!(peer.state(), State::Active);
        assert_about(time_to_deadline(&peer, now), expected);
        now = peer.next_deadline().unwrap();
        assert_eq!(actions_text(&peer.process(PeerEvent::Timer, now)), "connect");
    }
}

#[test]
fn an_attempt_without_an_answer_is_given_up() {
    let now = Instant::now();
    let mut peer = peer_with(testing::config(), now);
    assert_eq!(time_to_deadline(&peer, now), 10 * SECOND);
    assert_eq!(actions_text(&peer.process(PeerEvent::Timer, now + 10 * SECOND)), "abandon, ended none lost");
    assert_eq!(peer.state(), State::Active);
}

fn establish(peer: &mut PeerFsm, now: Instant) {
    if peer.state() != State::Connect {
        peer.process(PeerEvent::Timer, now);
    }
    peer.process(PeerEvent::Connected, now);
    peer.process(PeerEvent::Of(ConnectionRole::Outgoing, received(Message::Open(their_open()))), now);
    peer.process(PeerEvent::Of(ConnectionRole::Outgoing, received(Message::KeepAlive)), now);
    assert_eq!(peer.state(), State::Established);
}

fn lose_connection(peer: &mut PeerFsm, now: Instant) {
    peer.process(PeerEvent::Of(ConnectionRole::Outgoing, ConnectionEvent::Lost("reset".into())), now);
}

#[test]
fn a_flapping_peer_is_left_alone_for_longer_and_longer() {
    let mut now = Instant::now();
    let mut peer = peer_with(testing::config(), now);
    for (state, expected) in [
        (State::Active, 1),
        (State::Active, 1),
        (State::Idle, 1),
        (State::Idle, 2),
        (State::Idle, 4),
        (State::Idle, 8),
        (State::Idle, 16),
        (State::Idle, 32),
        (State::Idle, 64),
        (State::Idle, 64),
    ] {
        establish(&mut peer, now);
        lose_connection(&mut peer, now);
        assert_eq!(peer.state(), state);
        assert_about(time_to_deadline(&peer, now), expected);
        now = peer.next_deadline().unwrap();
    }
    establish(&mut peer, now);
    now += 60 * SECOND;
    lose_connection(&mut peer, now);
    assert_eq!(peer.state(), State::Active, "a session that was stable is no flap");
}

#[test]
fn a_peer_that_only_refuses_our_calls_may_still_call() {
    let mut now = Instant::now();
    let mut peer = peer_with(testing::config(), now);
    for expected in [1, 2, 4, 8, 16, 32, 64] {
        peer.process(PeerEvent::Connected, now);
        lose_connection(&mut peer, now);
        assert_eq!(peer.state(), State::Active);
        assert_about(time_to_deadline(&peer, now), expected);
        assert_eq!(actions_text(&peer.clone().process(PeerEvent::Accepted, now)), "adopt in, in OPEN");
        now = peer.next_deadline().unwrap();
        peer.process(PeerEvent::Timer, now);
    }
}

#[test]
fn a_caller_that_hangs_up_before_its_open_does_not_put_off_our_call() {
    let now = Instant::now();
    let mut peer = peer_with(testing::config(), now);
    peer.process(PeerEvent::ConnectFailed("refused".into()), now);
    let due = peer.next_deadline();
    let call_and_hang_up = |peer: &mut PeerFsm, at| {
        peer.process(PeerEvent::Accepted, at);
        let lost = ConnectionEvent::Lost("closed by the peer".into());
        let ended = peer.process(PeerEvent::Of(ConnectionRole::Incoming, lost), at);
        assert_eq!(actions_text(&ended), "close in, ended in lost");
    };
    call_and_hang_up(&mut peer, now + SECOND / 2);
    assert_eq!((peer.state(), peer.next_deadline()), (State::Active, due));
    let due = due.unwrap();
    assert_eq!(actions_text(&peer.process(PeerEvent::Timer, due)), "connect");
    call_and_hang_up(&mut peer, due);
    assert_eq!(actions_text(&peer.process(PeerEvent::Connected, due)), "adopt out, out OPEN");
}

#[test]
fn a_passive_peer_never_calls() {
    let now = Instant::now();
    let mut peer = PeerFsm::new(
        PeerConfig { passive: true, ..testing::config() }.into(),
        Restart::default(),
        Jitter::seeded(1),
    );
    assert_eq!(peer.process(PeerEvent::Start, now), []);
    assert_eq!((peer.state(), peer.next_deadline()), (State::Active, None));
    assert_eq!(actions_text(&peer.process(PeerEvent::Accepted, now)), "adopt in, in OPEN");
    let lost =
        peer.process(PeerEvent::Of(ConnectionRole::Incoming, ConnectionEvent::Lost("reset".into())), now);
    assert_eq!(actions_text(&lost), "close in, ended in lost");
    assert_eq!((peer.state(), peer.next_deadline()), (State::Active, None));
}

fn bfd(state: bfd::SessionState, remote: bfd::SessionState, downs: u64) -> PeerEvent {
    PeerEvent::Bfd(Some(SessionStatus { state, remote, downs, heard: true }))
}

/// BFD is down for the first time, and no packet comes.
fn bfd_silence() -> PeerEvent {
    let down = bfd::SessionState::Down;
    PeerEvent::Bfd(Some(SessionStatus { state: down, remote: down, downs: 1, heard: false }))
}

#[test]
fn a_session_falls_with_its_bfd_and_is_held_down_until_it_is_back() {
    use bfd::SessionState::*;
    let now = Instant::now();
    let mut peer = peer_with(testing::config(), now);
    establish(&mut peer, now);
    assert_eq!(peer.process(bfd(Up, Up, 0), now), []);
    let fall = peer.process(bfd(Down, Up, 1), now);
    // The peer would keep our routes otherwise: Hard Reset, BFD Down.
    assert_eq!(actions_text(&fall), "out 6/9, close out, down out sent");
    assert_eq!((peer.state(), peer.next_deadline()), (State::Idle, None));
    assert_eq!(actions_text(&peer.process(PeerEvent::Accepted, now)), "refuse in");
    assert_eq!(peer.process(PeerEvent::Start, now), []);
    assert_eq!(peer.process(bfd(Init, Down, 1), now), []);
    assert_eq!(actions_text(&peer.process(bfd(Up, Up, 1), now)), "connect");
}

#[test]
fn bfd_that_never_was_or_is_administratively_down_is_no_failure() {
    use bfd::SessionState::*;
    let now = Instant::now();
    let mut peer = peer_with(testing::config(), now);
    establish(&mut peer, now);
    for status in [
        bfd(Down, Down, 0),
        bfd(Init, Down, 0),
        bfd(Up, Up, 0),
        bfd(Down, AdminDown, 1),
        // On its way back.
        bfd(Init, Down, 1),
        bfd(Down, Down, 1),
        bfd(Up, Up, 1),
        bfd(AdminDown, Up, 1),
        bfd(Down, Down, 1),
    ] {
        assert_eq!(peer.process(status, now), []);
    }
    assert_eq!(peer.process(PeerEvent::Bfd(None), now), []);
    assert_eq!(peer.state(), State::Established);
}

/// The peer may speak BFD only while it has a BGP session.
#[test]
fn a_peer_that_falls_silent_in_bfd_is_called_again_after_a_while() {
    use bfd::SessionState::*;
    let silent = bfd_silence();
    let now = Instant::now();
    let mut peer = peer_with(testing::config(), now);
    peer.process(bfd(Up, Up, 0), now);
    peer.process(bfd(Down, Down, 1), now);
    assert_eq!(peer.next_deadline(), None);
    peer.process(silent.clone(), now);
    // Once more, and it says something, and is silent again.
    peer.process(silent.clone(), now + SECOND);
    assert_eq!(peer.next_deadline(), Some(now + 10 * SECOND));
    peer.process(bfd(Down, Down, 1), now + 2 * SECOND);
    assert_eq!(peer.next_deadline(), None);
    peer.process(silent.clone(), now + 3 * SECOND);
    let due = now + 13 * SECOND;
    assert_eq!(peer.next_deadline(), Some(due));
    assert_eq!(actions_text(&peer.process(PeerEvent::Timer, due)), "connect");
    assert_eq!(peer.process(silent, due), []);
    assert_eq!(peer.process(bfd(Init, Down, 1), due), []);
    assert_eq!(peer.process(bfd(Up, Up, 1), due), []);
    // From now on it counts again.
    peer.process(bfd(Down, Down, 2), due);
    assert_eq!(peer.state(), State::Idle);
}

/// Such a peer ends its BFD session when a drain of ours ends the BGP session.
#[test]
fn a_peer_that_fell_silent_in_bfd_while_we_were_stopped_is_called_at_the_start() {
    use bfd::SessionState::*;
    let now = Instant::now();
    let stop = || PeerEvent::Stop(cease());
    let orders = [
        [stop(), bfd(Down, Up, 1), bfd_silence()],
        [bfd(Down, Up, 1), stop(), bfd_silence()],
        [bfd(Down, Up, 1), bfd_silence(), stop()],
    ];
    for events in orders {
        let mut peer = peer_with(testing::config(), now);
        establish(&mut peer, now);
        peer.process(bfd(Up, Up, 0), now);
        for event in &events {
            peer.process(event.clone(), now);
        }
        assert_eq!((peer.state(), peer.next_deadline()), (State::Idle, None), "{events:?}");
        assert!(!peer.is_held_down(), "{events:?}");
        assert_eq!(actions_text(&peer.process(PeerEvent::Start, now)), "connect", "{events:?}");
    }
}

#[test]
fn a_peer_that_speaks_bfd_but_is_not_up_is_held_down_after_the_start() {
    use bfd::SessionState::*;
    let now = Instant::now();
    let mut peer = peer_with(testing::config(), now);
    peer.process(bfd(Up, Up, 0), now);
    peer.process(PeerEvent::Stop(cease()), now);
    peer.process(bfd(Down, Down, 1), now);
    assert_eq!(peer.process(PeerEvent::Start, now), []);
    assert_eq!((peer.state(), peer.next_deadline()), (State::Idle, None));
    assert!(peer.is_held_down());
    // It falls silent after all.
    assert_eq!(peer.process(bfd_silence(), now), []);
    assert_eq!(peer.next_deadline(), Some(now + 10 * SECOND));
}

#[test]
fn bfd_that_fell_and_rose_unseen_is_noticed() {
    use bfd::SessionState::*;
    let now = Instant::now();
    let mut peer = peer_with(testing::config(), now);
    establish(&mut peer, now);
    peer.process(bfd(Up, Up, 0), now);
    assert_eq!(
        actions_text(&peer.process(bfd(Up, Up, 1), now)),
        "out 6/9, close out, down out sent, connect"
    );
}

#[test]
fn without_bfd_any_more_a_peer_that_was_held_down_comes_back() {
    use bfd::SessionState::*;
    let now = Instant::now();
    let mut peer = peer_with(testing::config(), now);
    peer.process(bfd(Up, Up, 0), now);
    peer.process(bfd(Down, Down, 1), now);
    assert_eq!(peer.state(), State::Idle);
    assert_eq!(actions_text(&peer.process(PeerEvent::Bfd(None), now)), "connect");
}

#[test]
fn a_peer_that_restarted_is_believed_if_it_said_that_it_restarts_gracefully() {
    let now = Instant::now();
    let later = now + 6 * SECOND;
    let mut peer = peer_with(testing::config(), now);
    establish(&mut peer, now);
    assert_eq!(actions_text(&peer.process(PeerEvent::Accepted, now)), "refuse in, out KEEPALIVE");
    assert_eq!(
        actions_text(&peer.process(PeerEvent::Accepted, later)),
        "close out, down out lost, adopt in, in OPEN"
    );
    assert_eq!(peer.state(), State::OpenSent);

    let mut peer = peer_with(testing::config(), now);
    peer.process(PeerEvent::Connected, now);
    peer.process(
        PeerEvent::Of(ConnectionRole::Outgoing, received(Message::Open(without_graceful_restart()))),
        now,
    );
    peer.process(PeerEvent::Of(ConnectionRole::Outgoing, received(Message::KeepAlive)), now);
    assert_eq!(actions_text(&peer.process(PeerEvent::Accepted, later)), "refuse in, out KEEPALIVE");
}

#[test]
fn a_second_call_of_the_peer_replaces_its_first() {
    let now = Instant::now();
    let mut peer = peer_with(testing::config(), now);
    peer.process(PeerEvent::Accepted, now);
    assert_eq!(
        actions_text(&peer.process(PeerEvent::Accepted, now)),
        "close in, ended in lost, adopt in, in OPEN"
    );
}
