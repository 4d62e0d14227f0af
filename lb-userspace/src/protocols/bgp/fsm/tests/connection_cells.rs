//! Every cell of the transition table of a connection (RFC 4271, 8.2.2).

use super::*;

fn connection_in(state: State, now: Instant) -> Connection {
    let (mut connection, open) =
        Connection::begin(testing::config().into(), Restart::default(), Jitter::seeded(1), now);
    assert!(matches!(open, Message::Open(_)));
    for message in [Message::Open(their_open()), Message::KeepAlive] {
        if connection.state() < state {
            connection.process(received(message), now).unwrap();
        }
    }
    assert_eq!(connection.state(), state);
    connection
}

/// The result of an event, and the state after it, as text.
fn process_to_text(connection: &mut Connection, event: ConnectionEvent, now: Instant) -> String {
    let state = |connection: &Connection| format!("{:?}", connection.state());
    match connection.process(event, now) {
        Ok(ConnectionAction::Nothing) => state(connection),
        Ok(ConnectionAction::Send(message)) => format!("{} {}", message.name(), state(connection)),
        Ok(ConnectionAction::Opened) => format!("opened {}", state(connection)),
        Ok(ConnectionAction::Established) => format!("up {}", state(connection)),
        Ok(ConnectionAction::RouteMessage(message)) => {
            format!("deliver {} {}", message.name(), state(connection))
        }
        Err(ConnectionEnd(Cause::Sent(told))) => format!("end {}/{}", told.code.0, told.code.1),
        Err(ConnectionEnd(Cause::Received(told))) => format!("end by {}/{}", told.code.0, told.code.1),
        Err(ConnectionEnd(Cause::Lost(_))) => "end lost".into(),
    }
}

#[test]
fn every_event_has_its_outcome_in_every_state() {
    let now = Instant::now();
    let notification = || Message::Notification(Notification::new(code::ADMINISTRATIVE_RESET));
    let wrote = |progress, pending| ConnectionEvent::Wrote { progress, pending };
    let unreadable = || ConnectionEvent::Unreadable(Notification::new(code::BAD_MESSAGE_LENGTH));
    // Event; how long after the state began; outcome in OpenSent, OpenConfirm, Established.
    let late = 31 * SECOND;
    let table: [(ConnectionEvent, Duration, [&str; 3]); 16] = [
        (received(Message::Open(their_open())), SECOND, ["opened OpenConfirm", "end 5/2", "end 5/3"]),
        (received(Message::Open(bad_as())), SECOND, ["end 2/2", "end 5/2", "end 5/3"]),
        (received(Message::KeepAlive), SECOND, ["end 5/1", "up Established", "Established"]),
        (
            received(Message::Update(Update::default())),
            SECOND,
            ["end 5/1", "end 5/2", "deliver UPDATE Established"],
        ),
        (received(refresh()), SECOND, ["end 5/1", "end 5/2", "deliver ROUTE-REFRESH Established"]),
        (received(notification()), SECOND, ["end by 6/4"; 3]),
        (unreadable(), SECOND, ["end 1/2"; 3]),
        (ConnectionEvent::Lost("reset".into()), SECOND, ["end lost"; 3]),
        (ConnectionEvent::Stop(cease()), SECOND, ["end 6/2", "end 6/9", "end 6/9"]),
        (ConnectionEvent::Stop(Notification::new(code::OTHER_CONFIGURATION_CHANGE)), SECOND, ["end 6/6"; 3]),
        (ConnectionEvent::Timer, SECOND, ["OpenSent", "OpenConfirm", "Established"]),
        (ConnectionEvent::Timer, 11 * SECOND, ["OpenSent", "KEEPALIVE OpenConfirm", "KEEPALIVE Established"]),
        (ConnectionEvent::Timer, late, ["OpenSent", "end 4/0", "end 4/0"]),
        (ConnectionEvent::Timer, 240 * SECOND, ["end 4/0"; 3]),
        (wrote(true, true), late, ["OpenSent", "OpenConfirm", "Established"]),
        (wrote(false, false), late, ["OpenSent", "OpenConfirm", "Established"]),
    ];
    for (event, after, expected) in table {
        for (state, expected) in
            [State::OpenSent, State::OpenConfirm, State::Established].into_iter().zip(expected)
        {
            let mut connection = connection_in(state, now);
            assert_eq!(
                process_to_text(&mut connection, event.clone(), now + after),
                expected,
                "{event:?} in {state:?}"
            );
        }
    }
}

#[test]
fn keepalives_and_updates_put_off_the_hold_timer() {
    let now = Instant::now();
    for message in [Message::KeepAlive, Message::Update(Update::default())] {
        let mut connection = connection_in(State::Established, now);
        connection.process(received(message), now + 20 * SECOND).unwrap();
        assert_eq!(
            process_to_text(&mut connection, ConnectionEvent::Timer, now + 49 * SECOND),
            "KEEPALIVE Established"
        );
        assert_eq!(process_to_text(&mut connection, ConnectionEvent::Timer, now + 50 * SECOND), "end 4/0");
    }
}

#[test]
fn a_hold_time_of_zero_never_expires_nor_keeps_alive() {
    let now = Instant::now();
    let (mut connection, _) =
        Connection::begin(testing::config().into(), Restart::default(), Jitter::seeded(1), now);
    let open = Open { hold_time: 0, ..their_open() };
    connection.process(received(Message::Open(open)), now).unwrap();
    connection.process(received(Message::KeepAlive), now).unwrap();
    assert_eq!(connection.next_deadline(), None);
    assert_eq!(process_to_text(&mut connection, ConnectionEvent::Timer, now + AGES), "Established");
}

#[test]
fn keepalives_are_due_within_a_third_of_the_hold_time_unless_sooner_is_asked_for() {
    let now = Instant::now();
    let deadline = |keepalive: Option<u64>| {
        let config = PeerConfig { keepalive: keepalive.map(Duration::from_secs), ..testing::config() };
        let (mut connection, _) =
            Connection::begin(config.into(), Restart::default(), Jitter::seeded(1), now);
        connection.process(received(Message::Open(their_open())), now).unwrap();
        connection.next_deadline().unwrap() - now
    };
    // 75 % to 100 % of it.
    for (keepalive, full) in [(None, 10), (Some(4), 4), (Some(25), 10), (Some(0), 1)] {
        let full = Duration::from_secs(full);
        assert!(
            (full * 3 / 4..=full).contains(&deadline(keepalive)),
            "{keepalive:?}: {:?}",
            deadline(keepalive)
        );
    }
}

#[test]
fn a_peer_that_reads_nothing_is_given_up_after_twice_the_hold_time() {
    let now = Instant::now();
    let mut connection = connection_in(State::Established, now);
    let blocked = |progress| ConnectionEvent::Wrote { progress, pending: true };
    let mut at = |event, seconds: u64| {
        connection.process(received(Message::KeepAlive), now + Duration::from_secs(seconds)).unwrap();
        process_to_text(&mut connection, event, now + Duration::from_secs(seconds))
    };
    at(blocked(false), 1);
    at(blocked(true), 20);
    at(blocked(false), 40);
    assert_eq!(at(ConnectionEvent::Timer, 79), "KEEPALIVE Established");
    assert_eq!(at(ConnectionEvent::Timer, 80), "end 8/0");
}

#[test]
fn a_peer_that_reads_in_the_end_is_not_given_up() {
    let now = Instant::now();
    let mut connection = connection_in(State::Established, now);
    connection.process(ConnectionEvent::Wrote { progress: false, pending: true }, now).unwrap();
    connection.process(ConnectionEvent::Wrote { progress: true, pending: false }, now + SECOND).unwrap();
    connection.process(received(Message::KeepAlive), now + 29 * SECOND).unwrap();
    assert_eq!(
        process_to_text(&mut connection, ConnectionEvent::Timer, now + 40 * SECOND),
        "KEEPALIVE Established"
    );
}

#[test]
fn peers_that_do_not_keep_routes_over_notifications_get_no_hard_reset() {
    let now = Instant::now();
    let (mut connection, _) =
        Connection::begin(testing::config().into(), Restart::default(), Jitter::seeded(1), now);
    connection.process(received(Message::Open(without_graceful_restart())), now).unwrap();
    assert_eq!(process_to_text(&mut connection, ConnectionEvent::Stop(cease()), now), "end 6/2");
}
