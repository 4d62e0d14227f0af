use proptest::prelude::*;

use super::*;

/// As FRR sends it when it has just heard of us.
const SAMPLE: [u8; LEN] = [
    0x20, 0xa0, 3, 24, 0, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef, 0, 0x0f, 0x42, 0x40, 0, 0x04, 0x93, 0xe0, 0, 0, 0,
    0,
];

fn with(at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = SAMPLE.to_vec();
    bytes[at] = byte;
    bytes
}

#[test]
fn fields_are_where_the_rfc_has_them() {
    let packet = Packet {
        diagnostic: Diagnostic::NONE,
        state: State::Init,
        is_poll: true,
        is_final: false,
        is_demand: false,
        multiplier: 3,
        mine: 1,
        yours: 0xdead_beef,
        transmit: Duration::from_secs(1),
        receive: Duration::from_millis(300),
    };
    assert_eq!(Packet::decode(&SAMPLE), Ok(packet));
    assert_eq!(packet.encode(), SAMPLE);
}

#[test]
fn what_the_rfc_discards_is_discarded() {
    let unknown = |state: u8| {
        let mut bytes = with(1, state << 6);
        bytes[8..12].fill(0);
        bytes
    };
    let mut nobody = SAMPLE.to_vec();
    nobody[4..8].fill(0);
    let table = [
        (SAMPLE[..23].to_vec(), Malformed::Truncated),
        (Vec::new(), Malformed::Truncated),
        (with(0, 0x00), Malformed::Version(0)),
        (with(0, 0x40), Malformed::Version(2)),
        (with(3, 23), Malformed::Length(23)),
        (with(3, 25), Malformed::Length(25)),
        (with(2, 0), Malformed::Multiplier),
        (with(1, 0xa1), Malformed::Multipoint),
        (nobody, Malformed::Discriminator),
        (unknown(2), Malformed::State),
        (unknown(3), Malformed::State),
        (with(1, 0xa4), Malformed::Authenticated),
    ];
    for (bytes, why) in table {
        assert_eq!(Packet::decode(&bytes), Err(why), "{bytes:x?}");
    }
    for state in [0, 1] {
        assert!(Packet::decode(&unknown(state)).is_ok());
    }
}

#[test]
fn what_follows_the_packet_is_ignored() {
    let longer = [&SAMPLE[..], &[0xff; 8]].concat();
    assert_eq!(Packet::decode(&longer), Packet::decode(&SAMPLE));
}

prop_compose! {
    pub fn any_packet()(
        (diagnostic, state, multiplier, mine, yours) in (0u8..32, 0u8..4, 1u8.., 1u32.., 1u32..),
        (is_poll, is_final, is_demand) in any::<(bool, bool, bool)>(),
        (transmit, receive) in any::<(u32, u32)>(),
    ) -> Packet {
        Packet {
            diagnostic: Diagnostic(diagnostic), state: super::state(state << 6), is_poll, is_final, is_demand,
            multiplier, mine, yours,
            transmit: Duration::from_micros(transmit.into()), receive: Duration::from_micros(receive.into()),
        }
    }
}

proptest! {
    #[test]
    fn what_is_sent_is_understood(packet in any_packet()) {
        prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
    }

    #[test]
    fn whatever_is_understood_is_valid(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(packet) = Packet::decode(&bytes) {
            prop_assert!(packet.mine != 0 && packet.multiplier != 0);
            prop_assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
        }
    }
}

/// Mostly valid packets with a few bytes changed: random ones seldom get past
/// the version.
#[test]
fn a_million_broken_packets_do_no_harm() {
    let mut random = crate::hash::Random::new(5880);
    let mut understood = 0;
    for _ in 0..1_000_000 {
        let mut bytes = SAMPLE;
        for _ in 0..random.below(4) {
            bytes[random.below(LEN as u64) as usize] = random.next() as u8;
        }
        let len = if random.below(8) == 0 { random.below(LEN as u64) as usize } else { LEN };
        understood += u32::from(Packet::decode(&bytes[..len]).is_ok());
    }
    assert!((100_000..900_000).contains(&understood), "{understood}");
}
