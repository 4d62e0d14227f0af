//! Properties that hold after any sequence of inputs.

use std::collections::BTreeSet;

use proptest::{collection, prelude::*};

use super::*;
use crate::protocols::bfd;

fn some_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        4 => Just(Message::Open(their_open())),
        4 => Just(Message::KeepAlive),
        1 => Just(Message::Open(without_graceful_restart())),
        1 => Just(Message::Open(bad_as())),
        1 => Just(Message::Open(Open { hold_time: 0, ..their_open() })),
        1 => Just(Message::Update(Update::default())),
        1 => Just(refresh()),
        1 => Just(Message::Notification(cease())),
    ]
}

fn some_event() -> impl Strategy<Value = ConnectionEvent> {
    prop_oneof![
        8 => some_message().prop_map(ConnectionEvent::Received),
        1 => Just(ConnectionEvent::Unreadable(Notification::new(code::BAD_MESSAGE_LENGTH))),
        1 => Just(ConnectionEvent::Lost("reset".into())),
        2 => any::<(bool, bool)>().prop_map(|(progress, pending)| ConnectionEvent::Wrote { progress, pending }),
    ]
}

fn some_bfd() -> impl Strategy<Value = Option<SessionStatus>> {
    use bfd::SessionState::*;
    let state = || prop_oneof![Just(AdminDown), Just(Down), Just(Init), Just(Up)];
    proptest::option::of(
        (state(), state(), 0_u64..3, any::<bool>()).prop_map(|(state, remote, downs, heard)| SessionStatus {
            state,
            remote,
            downs,
            heard,
        }),
    )
}

fn some_input() -> impl Strategy<Value = PeerEvent> {
    let role = || prop_oneof![Just(ConnectionRole::Outgoing), Just(ConnectionRole::Incoming)];
    prop_oneof![
        2 => Just(PeerEvent::Start),
        1 => Just(PeerEvent::Stop(cease())),
        4 => Just(PeerEvent::Connected),
        2 => Just(PeerEvent::ConnectFailed("refused".into())),
        4 => Just(PeerEvent::Accepted),
        1 => Just(PeerEvent::Found),
        4 => some_bfd().prop_map(PeerEvent::Bfd),
        4 => Just(PeerEvent::Timer),
        16 => (role(), some_event()).prop_map(|(role, event)| PeerEvent::Of(role, event)),
    ]
}

/// The connections that a driver would have open.
#[derive(Default)]
struct ConnectionDriver {
    open: BTreeSet<ConnectionRole>,
    up: BTreeSet<ConnectionRole>,
    is_connecting: bool,
}

impl ConnectionDriver {
    fn follow_actions(&mut self, outputs: &[PeerAction]) {
        for output in outputs {
            match output {
                PeerAction::Connect => {
                    assert!(!std::mem::replace(&mut self.is_connecting, true), "already connecting")
                }
                PeerAction::Abandon => assert!(std::mem::take(&mut self.is_connecting), "nothing to abandon"),
                PeerAction::Adopt(role) => assert!(self.open.insert(*role), "there is one of this role"),
                PeerAction::Refuse(_) | PeerAction::RouteMessage(_) => {}
                PeerAction::Send(role, _) => assert!(self.open.contains(role), "sent on a closed connection"),
                PeerAction::Close(role) => {
                    assert!(self.open.remove(role), "closed twice");
                    self.up.remove(role);
                }
                PeerAction::Up(role, _) => {
                    self.up.insert(*role);
                    assert!(self.up.len() == 1 && self.open.contains(role), "more than one session");
                }
                PeerAction::Ended { .. } => {}
            }
        }
    }
}

fn is_possible(driver: &mut ConnectionDriver, input: &PeerEvent) -> bool {
    match input {
        PeerEvent::Connected | PeerEvent::ConnectFailed(_) => std::mem::take(&mut driver.is_connecting),
        PeerEvent::Of(role, _) => driver.open.contains(role),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_sequence_of_inputs_breaks_the_rules(
        passive: bool,
        inputs in collection::vec((some_input(), 0_u64..20_000), 1..60),
    ) {
        let mut now = Instant::now();
        let mut driver = ConnectionDriver::default();
        let config = PeerConfig { passive, ..testing::config() };
        let mut peer = PeerFsm::new(config.into(), Restart::default(), Jitter::seeded(7));
        driver.follow_actions(&peer.process(PeerEvent::Start, now));
        let (mut is_stopped, mut is_heard) = (false, false);
        for (input, millis) in inputs {
            now += Duration::from_millis(millis);
            // A driver hears of deadlines before anything else.
            while peer.next_deadline().is_some_and(|deadline| deadline <= now) {
                let before = peer.next_deadline();
                driver.follow_actions(&peer.process(PeerEvent::Timer, now));
                prop_assert!(peer.next_deadline() != before, "a timer that is due does nothing");
            }
            if !is_possible(&mut driver, &input) {
                continue;
            }
            let is_stop = matches!(input, PeerEvent::Stop(_));
            is_stopped = is_stop || is_stopped && input != PeerEvent::Start;
            if let PeerEvent::Bfd(status) = &input {
                is_heard = status.is_some_and(|status| status.heard);
            }
            driver.follow_actions(&peer.process(input, now));

            if is_stop {
                prop_assert_eq!(peer.state(), State::Idle);
                prop_assert!(driver.open.is_empty() && !driver.is_connecting);
            }
            // BFD holds a session down for long only if the peer speaks BFD.
            if !is_stopped && !is_heard && peer.state() == State::Idle {
                prop_assert!(peer.next_deadline().is_some(), "it stays down for good");
            }
            prop_assert_eq!(peer.state() == State::Established, driver.up.len() == 1);
            prop_assert_eq!(driver.open.is_empty(), peer.state() <= State::Active);
            if passive {
                prop_assert!(!driver.is_connecting && !driver.open.contains(&ConnectionRole::Outgoing));
            }
            // No session without a live hold timer, unless it was agreed on.
            for role in &driver.up {
                match peer.hold_deadline(*role) {
                    Some(hold) => prop_assert!(hold > now && peer.next_deadline() <= Some(hold)),
                    None => prop_assert!(!peer.has_hold_time(*role)),
                }
            }
        }
    }
}
