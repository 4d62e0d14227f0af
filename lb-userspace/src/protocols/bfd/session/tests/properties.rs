//! Whatever comes in whatever order; and two sessions over a link that loses packets.

use proptest::prelude::*;

use super::*;
use crate::protocols::bfd::wire::tests::any_packet;

/// Two sessions, and a link between them that loses packets.
struct LossyLink {
    sides: [BfdSession; 2],
    now: Instant,
    /// On their way: when they arrive, at which side.
    flying: Vec<(Instant, usize, ControlPacket)>,
    random: Random,
    /// Of 100 packets.
    lost: u64,
    /// In microseconds, at most.
    delay: u64,
}

impl LossyLink {
    fn new(profiles: [Profile; 2], seed: u64, delay: u64) -> Self {
        let now = Instant::now();
        let sides = [BfdSession::new(OURS, profiles[0], now), BfdSession::new(THEIRS, profiles[1], now)];
        Self { sides, now, flying: Vec::new(), random: Random::new(seed), lost: 0, delay }
    }

    fn process(&mut self, side: usize, input: SessionInput) {
        if let Some(packet) = self.sides[side].process(input, self.now)
            && self.random.below(100) >= self.lost
        {
            let packet = ControlPacket::decode(&packet.encode()).unwrap();
            let delay = Duration::from_micros(self.random.below(self.delay + 1));
            // A link keeps the order.
            let before = self.flying.iter().filter(|(_, to, _)| *to == 1 - side).map(|(at, ..)| *at);
            let at = before.fold(self.now + delay, Instant::max);
            self.flying.push((at, 1 - side, packet));
        }
    }

    /// Whatever comes next, if before `end`.
    fn process_next(&mut self, end: Instant) -> bool {
        let arrival = self.flying.iter().map(|(at, ..)| *at).min();
        let timers = self.sides.iter().filter_map(BfdSession::next_deadline);
        let Some(next) = timers.chain(arrival).min().filter(|next| *next < end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        if let Some(at) = self.flying.iter().position(|(at, ..)| *at <= self.now) {
            let (_, side, packet) = self.flying.remove(at);
            self.process(side, SessionInput::Packet(packet));
        }
        for side in 0..2 {
            if self.sides[side].next_deadline().is_some_and(|at| at <= self.now) {
                self.process(side, SessionInput::Timer);
            }
        }
        true
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.process_next(end) {}
    }

    fn states(&self) -> [SessionState; 2] {
        [0, 1].map(|side| self.sides[side].status().state)
    }

    fn down_count(&self) -> u64 {
        self.sides.iter().map(|side| side.status().downs).sum()
    }
}

prop_compose! {
    fn any_profile()(
        transmit in 10u64..2000, receive in 10u64..2000, multiplier in 2u8..6, passive in any::<bool>(),
    ) -> Profile {
        Profile { multiplier, passive, ..profile(transmit, receive) }
    }
}

fn any_input() -> impl Strategy<Value = SessionInput> {
    prop_oneof![
        6 => any_packet().prop_map(SessionInput::Packet),
        4 => (0u8..4).prop_map(|state| SessionInput::Packet(packet([AdminDown, Down, Init, Up][usize::from(state)]))),
        4 => Just(SessionInput::Timer),
        1 => any_profile().prop_map(SessionInput::Profile),
        1 => Just(SessionInput::Stop),
    ]
}

proptest! {
    #[test]
    fn two_sides_always_come_up_again(
        profiles in [any_profile(), any_profile()],
        (seed, lost, delay) in (any::<u64>(), 0u64..=100, 0u64..5000),
        other in any_profile(),
    ) {
        let mut link = LossyLink::new(profiles, seed, delay);
        // Two passive sides wait for each other for ever.
        link.process(0, SessionInput::Profile(Profile { passive: false, ..profiles[0] }));
        link.run_for(Duration::from_secs(10));
        prop_assert_eq!(link.states(), [Up, Up]);
        prop_assert_eq!(link.down_count(), 0);
        link.lost = lost;
        link.run_for(Duration::from_secs(60));
        link.process(0, SessionInput::Profile(Profile { passive: false, ..other }));
        link.run_for(Duration::from_secs(20));
        link.lost = 0;
        link.run_for(Duration::from_secs(30));
        prop_assert_eq!(link.states(), [Up, Up]);
        prop_assert!(!link.sides[0].is_polling && !link.sides[1].is_polling);
        let downs = link.down_count();
        link.run_for(Duration::from_secs(60));
        prop_assert_eq!(link.down_count(), downs, "without loss it stays up");
    }

    #[test]
    fn new_timers_reset_nothing(
        profiles in [any_profile(), any_profile()],
        changes in prop::collection::vec((0usize..2, any_profile(), 0u64..5000), 1..8),
        (seed, delay) in (any::<u64>(), 0u64..2000),
    ) {
        let mut link = LossyLink::new(profiles.map(|profile| Profile { passive: false, ..profile }), seed, delay);
        link.run_for(Duration::from_secs(10));
        let mut last = profiles;
        for (side, profile, pause) in changes {
            link.process(side, SessionInput::Profile(profile));
            last[side] = profile;
            link.run_for(ms(pause));
        }
        link.run_for(Duration::from_secs(20));
        prop_assert_eq!((link.states(), link.down_count()), ([Up, Up], 0));
        for side in 0..2 {
            let (own, other) = (last[side], last[1 - side]);
            let expected = own.receive.max(other.transmit) * other.multiplier.into();
            prop_assert_eq!(link.sides[side].detection_time(), Some(expected));
        }
    }

    #[test]
    fn a_cut_is_noticed_exactly_when_negotiated(
        profiles in [any_profile(), any_profile()], (seed, after) in (any::<u64>(), 10_000u64..20_000),
    ) {
        let mut link = LossyLink::new(profiles.map(|profile| Profile { passive: false, ..profile }), seed, 500);
        link.run_for(ms(after));
        prop_assert_eq!(link.states(), [Up, Up]);
        link.lost = 100;
        link.flying.clear();
        let due = [0, 1].map(|side| link.sides[side].detection_deadline().unwrap());
        let mut noticed = [None; 2];
        while noticed.contains(&None) {
            prop_assert!(link.process_next(link.now + Duration::from_secs(60)));
            for (side, noticed) in link.sides.iter().zip(&mut noticed) {
                if side.status().state == Down {
                    noticed.get_or_insert(link.now);
                }
            }
        }
        prop_assert_eq!(noticed.map(Option::unwrap), due);
    }

    #[test]
    fn no_sequence_of_inputs_does_harm(
        inputs in prop::collection::vec((any_input(), 0u64..2_000_000), 1..200), own in any_profile(),
    ) {
        let mut now = Instant::now();
        let mut session = BfdSession::new(OURS, own, now);
        let mut is_stopped = false;
        for (input, pause) in inputs {
            now += Duration::from_micros(pause);
            is_stopped |= matches!(input, SessionInput::Stop);
            let sent = session.process(input, now);
            session.process(SessionInput::Timer, now);
            if let Some(packet) = sent {
                prop_assert!(!(packet.is_poll && packet.is_final));
                prop_assert!(packet.state == Up || packet.transmit >= SLOW);
                prop_assert_eq!(ControlPacket::decode(&packet.encode()), Ok(packet));
            }
            prop_assert_eq!(is_stopped, session.status().state == AdminDown);
            let is_alive = matches!(session.status().state, Init | Up);
            prop_assert!(!is_alive || session.detection_deadline().is_some_and(|at| at > now), "nobody watches");
            prop_assert!(session.next_deadline().is_none_or(|at| at > now), "it would spin");
        }
    }
}
