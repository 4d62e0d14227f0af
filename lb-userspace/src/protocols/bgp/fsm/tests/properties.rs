//! What holds whatever happens.

use std::collections::BTreeSet;

use proptest::{collection, prelude::*};

use super::*;
use crate::protocols::bfd;

fn some_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        4 => Just(Message::Open(theirs())),
        4 => Just(Message::KeepAlive),
        1 => Just(Message::Open(without_graceful_restart())),
        1 => Just(Message::Open(bad_as())),
        1 => Just(Message::Open(Open { hold_time: 0, ..theirs() })),
        1 => Just(Message::Update(Update::default())),
        1 => Just(refresh()),
        1 => Just(Message::Notification(cease())),
    ]
}

fn some_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => some_message().prop_map(Event::Received),
        1 => Just(Event::Unreadable(Notification::new(code::BAD_MESSAGE_LENGTH))),
        1 => Just(Event::Lost("reset".into())),
        2 => any::<(bool, bool)>().prop_map(|(progress, pending)| Event::Wrote { progress, pending }),
    ]
}

fn some_bfd() -> impl Strategy<Value = Option<Status>> {
    use bfd::State::*;
    let state = || prop_oneof![Just(AdminDown), Just(Down), Just(Init), Just(Up)];
    proptest::option::of(
        (state(), state(), 0_u64..3, any::<bool>()).prop_map(|(state, remote, downs, heard)| Status {
            state,
            remote,
            downs,
            heard,
        }),
    )
}

fn some_input() -> impl Strategy<Value = Input> {
    let role = || prop_oneof![Just(Role::Outgoing), Just(Role::Incoming)];
    prop_oneof![
        2 => Just(Input::Start),
        1 => Just(Input::Stop(cease())),
        4 => Just(Input::Connected),
        2 => Just(Input::ConnectFailed("refused".into())),
        4 => Just(Input::Accepted),
        1 => Just(Input::Found),
        1 => some_bfd().prop_map(Input::Bfd),
        4 => Just(Input::Timer),
        16 => (role(), some_event()).prop_map(|(role, event)| Input::Of(role, event)),
    ]
}

/// What a driver would have open.
#[derive(Default)]
struct Driver {
    open: BTreeSet<Role>,
    up: BTreeSet<Role>,
    is_connecting: bool,
}

impl Driver {
    fn obey(&mut self, outputs: &[Output]) {
        for output in outputs {
            match output {
                Output::Connect => {
                    assert!(!std::mem::replace(&mut self.is_connecting, true), "already connecting")
                }
                Output::Abandon => assert!(std::mem::take(&mut self.is_connecting), "nothing to abandon"),
                Output::Adopt(role) => assert!(self.open.insert(*role), "there is one of this role"),
                Output::Refuse(_) | Output::Deliver(_) => {}
                Output::Send(role, _) => assert!(self.open.contains(role), "sent on a closed connection"),
                Output::Close(role) => {
                    assert!(self.open.remove(role), "closed twice");
                    self.up.remove(role);
                }
                Output::Up(role, _) => {
                    self.up.insert(*role);
                    assert!(self.up.len() == 1 && self.open.contains(role), "more than one session");
                }
                Output::Ended { .. } => {}
            }
        }
    }
}

fn is_possible(driver: &mut Driver, input: &Input) -> bool {
    match input {
        Input::Connected | Input::ConnectFailed(_) => std::mem::take(&mut driver.is_connecting),
        Input::Of(role, _) => driver.open.contains(role),
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
        let mut driver = Driver::default();
        let config = PeerConfig { passive, ..testing::config() };
        let mut peer = Peer::new(config.into(), Restart::default(), Jitter::seeded(7));
        driver.obey(&peer.process(Input::Start, now));
        for (input, millis) in inputs {
            now += Duration::from_millis(millis);
            // A driver hears of deadlines before anything else.
            while peer.next_deadline().is_some_and(|deadline| deadline <= now) {
                let before = peer.next_deadline();
                driver.obey(&peer.process(Input::Timer, now));
                prop_assert!(peer.next_deadline() != before, "a timer that is due does nothing");
            }
            if !is_possible(&mut driver, &input) {
                continue;
            }
            let is_stop = matches!(input, Input::Stop(_));
            driver.obey(&peer.process(input, now));

            if is_stop {
                prop_assert_eq!(peer.state(), State::Idle);
                prop_assert!(driver.open.is_empty() && !driver.is_connecting);
            }
            prop_assert_eq!(peer.state() == State::Established, driver.up.len() == 1);
            prop_assert_eq!(driver.open.is_empty(), peer.state() <= State::Active);
            if passive {
                prop_assert!(!driver.is_connecting && !driver.open.contains(&Role::Outgoing));
            }
            // No session without a live hold timer, unless it was agreed on.
            for role in &driver.up {
                match peer.hold_deadline(*role) {
                    Some(hold) => prop_assert!(hold > now && peer.next_deadline() <= Some(hold)),
                    None => prop_assert!(!peer.expires(*role)),
                }
            }
        }
    }
}
