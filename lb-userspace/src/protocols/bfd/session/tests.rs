use SessionState::{AdminDown, Down, Init, Up};

use super::*;

mod properties;

const OURS: u32 = 7;
const THEIRS: u32 = 9;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn profile(transmit: u64, receive: u64) -> Profile {
    Profile { transmit: ms(transmit), receive: ms(receive), ..Profile::default() }
}

/// From the other side, which wants and offers 100 ms.
fn packet(state: SessionState) -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state,
        is_poll: false,
        is_final: false,
        is_demand: false,
        multiplier: 3,
        mine: THEIRS,
        yours: OURS,
        transmit: ms(100),
        receive: ms(100),
    }
}

fn process_state(session: &mut BfdSession, state: SessionState, now: Instant) -> Option<ControlPacket> {
    session.process(SessionInput::Packet(packet(state)), now)
}

/// With 100 ms both ways, in that state, without a Poll Sequence.
fn session_in(state: SessionState, now: Instant) -> BfdSession {
    let mut session = BfdSession::new(OURS, profile(100, 100), now);
    session.process(SessionInput::Timer, now);
    if matches!(state, Init | Up) {
        process_state(&mut session, Down, now);
    }
    if state == Up {
        process_state(&mut session, Init, now);
        session.process(SessionInput::Packet(ControlPacket { is_final: true, ..packet(Up) }), now);
    }
    if state == AdminDown {
        process_state(&mut session, Down, now);
        session.process(SessionInput::Stop, now);
    }
    assert_eq!(session.status().state, state);
    assert!(!session.is_polling);
    session
}

#[test]
fn every_cell_of_the_transition_table_holds() {
    let now = Instant::now();
    // The state, and what it becomes on AdminDown, Down, Init, Up.
    let table = [
        (AdminDown, [AdminDown, AdminDown, AdminDown, AdminDown]),
        (Down, [Down, Init, Up, Down]),
        (Init, [Down, Init, Up, Up]),
        (Up, [Down, Down, Up, Up]),
    ];
    for (from, after) in table {
        for (heard, to) in [AdminDown, Down, Init, Up].into_iter().zip(after) {
            let mut session = session_in(from, now);
            let answer = process_state(&mut session, heard, now);
            assert_eq!(session.status().state, to, "{from:?} hears {heard:?}");
            assert_eq!(
                answer.map(|packet| packet.state),
                (from != to).then_some(to),
                "news are sent at once"
            );
            assert_eq!(session.status().downs, u64::from(from == Up && to == Down));
        }
    }
}

#[test]
fn silence_takes_every_state_down_but_the_administrator_s() {
    let now = Instant::now();
    for (from, to) in [(AdminDown, AdminDown), (Down, Down), (Init, Down), (Up, Down)] {
        let mut session = session_in(from, now);
        let expiry = session.detection_deadline().unwrap_or(now + ms(10_000));
        session.process(SessionInput::Timer, expiry - ms(1));
        assert_eq!(session.status().state, from);
        session.process(SessionInput::Timer, expiry);
        assert_eq!(session.status().state, to);
        if matches!(from, Init | Up) {
            assert_eq!(session.diagnostic(), Diagnostic::EXPIRED);
        }
    }
}

#[test]
fn after_a_detection_time_of_silence_the_other_discriminator_is_forgotten() {
    let now = Instant::now();
    let mut session = session_in(Up, now);
    let news = session.process(SessionInput::Timer, now + ms(300)).unwrap();
    assert_eq!((news.state, news.yours, news.diagnostic), (Down, 0, Diagnostic::EXPIRED));
}

#[test]
fn before_the_session_is_up_packets_are_a_second_apart() {
    let now = Instant::now();
    let mut session = BfdSession::new(OURS, profile(50, 50), now);
    let mut at = session.next_deadline().unwrap();
    assert_eq!(at, now, "the first one goes at once");
    for _ in 0..100 {
        let sent = session.process(SessionInput::Timer, at).unwrap();
        assert_eq!((sent.state, sent.yours, sent.transmit, sent.receive), (Down, 0, SLOW, ms(50)));
        let next = session.next_deadline().unwrap();
        assert!((ms(750)..=ms(1000)).contains(&(next - at)));
        at = next;
    }
    let init = process_state(&mut session, Down, at).unwrap();
    assert_eq!((init.state, init.yours, init.transmit), (Init, THEIRS, SLOW));
}

#[test]
fn intervals_are_negotiated_when_the_session_comes_up() {
    let now = Instant::now();
    let table = [
        // Ours: transmit, receive; theirs: transmit, receive; then ours from
        // packet to packet, and until it expires.
        ((100, 100), (100, 100), 100, 300),
        ((50, 300), (100, 100), 100, 900),
        ((300, 50), (100, 100), 300, 300),
        ((300, 50), (1000, 2000), 2000, 3000),
    ];
    for (ours, theirs, interval, detection) in table {
        let mut session = BfdSession::new(OURS, profile(ours.0, ours.1), now);
        let theirs = ControlPacket { transmit: ms(theirs.0), receive: ms(theirs.1), ..packet(Init) };
        let up = session.process(SessionInput::Packet(theirs), now).unwrap();
        assert_eq!((up.state, up.is_poll, up.transmit), (Up, true, ms(ours.0)));
        assert_eq!(session.wanted_interval(), Some(ms(interval)));
        assert_eq!(session.detection_time(), Some(ms(detection)));
    }
}

#[test]
fn a_poll_is_answered_at_once_and_its_answer_is_no_poll() {
    let now = Instant::now();
    let mut session = BfdSession::new(OURS, profile(100, 100), now);
    let polls = ControlPacket { is_poll: true, ..packet(Init) };
    let answer = session.process(SessionInput::Packet(polls), now).unwrap();
    assert_eq!((answer.state, answer.is_poll, answer.is_final), (Up, false, true));
    assert_eq!(session.next_deadline(), Some(now), "the poll of its own comes after");
    let own = session.process(SessionInput::Timer, now).unwrap();
    assert_eq!((own.state, own.is_poll, own.is_final), (Up, true, false));
}

#[test]
fn a_poll_is_repeated_until_it_is_answered() {
    let mut now = Instant::now();
    let mut session = session_in(Up, now);
    assert!(session.process(SessionInput::Profile(profile(200, 200)), now).unwrap().is_poll);
    for _ in 0..5 {
        process_state(&mut session, Up, now);
        now = session.next_deadline().unwrap();
        assert!(session.process(SessionInput::Timer, now).unwrap().is_poll);
    }
    session.process(SessionInput::Packet(ControlPacket { is_final: true, ..packet(Up) }), now);
    now = session.next_deadline().unwrap();
    assert!(!session.process(SessionInput::Timer, now).unwrap().is_poll);
}

#[test]
fn other_timers_take_effect_when_the_other_side_knows_them() {
    let now = Instant::now();
    let finally = SessionInput::Packet(ControlPacket { is_final: true, ..packet(Up) });
    let seen = |session: &BfdSession| (session.wanted_interval(), session.detection_time());
    let table = [
        // (transmit, receive), before and after the other side has answered.
        ((400, 100), (100, 300), (400, 300)),
        ((100, 400), (100, 1200), (100, 1200)),
        ((50, 400), (100, 1200), (100, 1200)),
        ((400, 50), (100, 300), (400, 300)),
    ];
    for ((transmit, receive), before, after) in table {
        let mut session = session_in(Up, now);
        let news = session.process(SessionInput::Profile(profile(transmit, receive)), now).unwrap();
        assert_eq!((news.transmit, news.receive), (ms(transmit), ms(receive)));
        assert_eq!(seen(&session), (Some(ms(before.0)), Some(ms(before.1))));
        session.process(finally, now);
        assert_eq!(seen(&session), (Some(ms(after.0)), Some(ms(after.1))));
        assert_eq!(session.status(), SessionStatus { state: Up, remote: Up, downs: 0, heard: true });
    }
}

/// The answer to the first must not be taken for one to the second.
#[test]
fn a_second_change_waits_for_the_end_of_the_first() {
    let now = Instant::now();
    let mut session = session_in(Up, now);
    let finally = SessionInput::Packet(ControlPacket { is_final: true, ..packet(Up) });
    session.process(SessionInput::Profile(profile(200, 200)), now);
    assert_eq!(session.process(SessionInput::Profile(profile(400, 400)), now), None);
    assert_eq!(session.build_packet().transmit, ms(200));
    let second = session.process(finally, now).unwrap();
    assert_eq!((second.is_poll, second.transmit), (true, ms(400)));
    assert_eq!(session.wanted_interval(), Some(ms(200)));
    session.process(finally, now);
    assert_eq!(session.wanted_interval(), Some(ms(400)));
}

#[test]
fn the_same_profile_again_changes_nothing() {
    let now = Instant::now();
    let mut session = session_in(Up, now);
    let deadline = session.next_deadline();
    assert_eq!(session.process(SessionInput::Profile(profile(100, 100)), now), None);
    assert_eq!(session.next_deadline(), deadline);
}

#[test]
fn packets_are_jittered_and_never_late() {
    for (multiplier, least, most) in [(3, ms(75), ms(100)), (1, ms(75), ms(90))] {
        let mut now = Instant::now();
        let mut session = BfdSession::new(OURS, Profile { multiplier, ..profile(100, 100) }, now);
        process_state(&mut session, Init, now);
        session.process(SessionInput::Packet(ControlPacket { is_final: true, ..packet(Up) }), now);
        let mut pauses = Vec::new();
        for _ in 0..1000 {
            process_state(&mut session, Up, now);
            now = session.due.unwrap();
            session.process(SessionInput::Timer, now).unwrap();
            pauses.push(session.due.unwrap() - now);
        }
        let (shortest, longest) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
        assert!(*shortest >= least && *shortest < least + ms(1), "{shortest:?}");
        assert!(*longest <= most && *longest > most - ms(1), "{longest:?}");
    }
}

#[test]
fn a_passive_side_sends_only_after_it_has_received() {
    let now = Instant::now();
    let passive = Profile { passive: true, ..profile(100, 100) };
    let mut session = BfdSession::new(OURS, passive, now);
    assert_eq!(session.next_deadline(), None);
    assert_eq!(process_state(&mut session, Down, now).unwrap().state, Init);
    assert_eq!(process_state(&mut session, Init, now).unwrap().state, Up);
    let expiry = session.detection_deadline().unwrap();
    assert_eq!(session.process(SessionInput::Timer, expiry), None, "nobody is there");
    assert_eq!((session.status().state, session.next_deadline()), (Down, None));
}

#[test]
fn a_side_that_wants_no_packets_gets_only_changes_and_answers() {
    let now = Instant::now();
    let mut session = session_in(Up, now);
    session.process(SessionInput::Packet(ControlPacket { receive: Duration::ZERO, ..packet(Up) }), now);
    assert_eq!(session.next_deadline(), session.detection_deadline(), "there is nothing to send");
    let polls = ControlPacket { is_poll: true, receive: Duration::ZERO, ..packet(Up) };
    assert!(session.process(SessionInput::Packet(polls), now).unwrap().is_final);
    let news = session.process(SessionInput::Timer, session.detection_deadline().unwrap());
    assert_eq!(news.unwrap().state, Down);
}

#[test]
fn in_demand_mode_only_polls_are_sent_and_answered() {
    let now = Instant::now();
    let mut session = session_in(Up, now);
    let demands = ControlPacket { is_demand: true, ..packet(Up) };
    session.process(SessionInput::Packet(demands), now);
    assert_eq!(session.next_deadline(), session.detection_deadline());
    let polls = ControlPacket { is_poll: true, ..demands };
    assert!(session.process(SessionInput::Packet(polls), now).unwrap().is_final);
    assert!(session.process(SessionInput::Profile(profile(200, 200)), now).unwrap().is_poll);
    assert!(session.due.is_some(), "until it is answered");
    session.process(SessionInput::Packet(ControlPacket { is_final: true, ..demands }), now);
    assert_eq!(session.due, None);
    session.process(SessionInput::Packet(packet(Up)), now);
    assert!(session.due.is_some(), "no longer demanded");
}

/// RFC 5882, section 4.2.
#[test]
fn a_farewell_of_the_other_side_is_remembered_through_its_silence() {
    let now = Instant::now();
    let mut session = session_in(Up, now);
    process_state(&mut session, AdminDown, now);
    assert_eq!(session.status(), SessionStatus { state: Down, remote: AdminDown, downs: 1, heard: true });
    assert_eq!(session.diagnostic(), Diagnostic::NEIGHBOUR_DOWN);
    session.process(SessionInput::Timer, session.detection_deadline().unwrap());
    assert_eq!(session.status(), SessionStatus { state: Down, remote: AdminDown, downs: 1, heard: false });
    process_state(&mut session, Down, now);
    assert_eq!(session.status(), SessionStatus { state: Init, remote: Down, downs: 1, heard: true });
}

#[test]
fn a_stopped_session_says_so_for_a_detection_time_and_ends() {
    let now = Instant::now();
    let mut session = session_in(Up, now);
    let mut said = vec![session.process(SessionInput::Stop, now).unwrap()];
    let mut at = now;
    while !session.has_ended() {
        at = session.next_deadline().unwrap();
        said.extend(session.process(SessionInput::Timer, at));
    }
    assert_eq!(said.len(), 3);
    assert!(said.iter().all(|packet| packet.state == AdminDown && packet.yours == THEIRS));
    assert!(said.iter().all(|packet| packet.diagnostic == Diagnostic::ADMIN_DOWN));
    assert!(at <= now + ms(300));
    assert_eq!(session.next_deadline(), None);
}

/// An agent that ends waits until its AdminDown packets are sent.
#[test]
fn however_slow_a_session_is_its_farewell_takes_a_second() {
    for (multiplier, interval) in [(255, 300), (3, 60_000), (2, 4_000_000)] {
        let now = Instant::now();
        let profile = Profile { multiplier, ..profile(interval, interval) };
        let mut session = session_in(Up, now);
        session.process(SessionInput::Profile(profile), now);
        session.process(SessionInput::Stop, now);
        let mut at = now;
        while !session.has_ended() {
            at = session.next_deadline().unwrap();
            session.process(SessionInput::Timer, at);
        }
        assert!(at <= now + ms(1000), "{multiplier} x {interval} ms: {:?}", at - now);
    }
}

#[test]
fn a_session_that_nobody_answered_ends_silently() {
    let now = Instant::now();
    let mut session = BfdSession::new(OURS, profile(100, 100), now);
    assert_eq!(session.process(SessionInput::Stop, now), None);
    assert!(session.has_ended());
    assert_eq!(session.next_deadline(), None);
}
