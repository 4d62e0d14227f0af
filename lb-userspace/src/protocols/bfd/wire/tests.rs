use proptest::prelude::*;

use super::*;

/// As FRR sends it when it has just heard of us.
const SAMPLE: [u8; LEN] = [
    0x20, 0xa0, 3, 24, 0, 0, 0, 1, 0xde, 0xad, 0xbe, 0xef, 0, 0x0f, 0x42, 0x40, 0, 0x04, 0x93, 0xe0, 0, 0, 0,
    0,
];

fn sample_with(at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = SAMPLE.to_vec();
    bytes[at] = byte;
    bytes
}

#[test]
fn fields_are_where_the_rfc_has_them() {
    let packet = ControlPacket {
        diagnostic: Diagnostic::NONE,
        state: SessionState::Init,
        is_poll: true,
        is_final: false,
        is_demand: false,
        multiplier: 3,
        mine: 1,
        yours: 0xdead_beef,
        transmit: Duration::from_secs(1),
        receive: Duration::from_millis(300),
    };
    assert_eq!(ControlPacket::decode(&SAMPLE), Ok(packet));
    assert_eq!(packet.encode(), SAMPLE);
}

#[test]
fn packets_that_the_rfc_discards_are_discarded() {
    let unknown = |state: u8| {
        let mut bytes = sample_with(1, state << 6);
        bytes[8..12].fill(0);
        bytes
    };
    let mut nobody = SAMPLE.to_vec();
    nobody[4..8].fill(0);
    let table = [
        (SAMPLE[..23].to_vec(), MalformedPacket::Truncated),
        (Vec::new(), MalformedPacket::Truncated),
        (sample_with(0, 0x00), MalformedPacket::Version(0)),
        (sample_with(0, 0x40), MalformedPacket::Version(2)),
        (sample_with(3, 23), MalformedPacket::Length(23)),
        (sample_with(3, 25), MalformedPacket::Length(25)),
        (sample_with(2, 0), MalformedPacket::Multiplier),
        (sample_with(1, 0xa1), MalformedPacket::Multipoint),
        (nobody, MalformedPacket::Discriminator),
        (unknown(2), MalformedPacket::State),
        (unknown(3), MalformedPacket::State),
        (sample_with(1, 0xa4), MalformedPacket::Authenticated),
    ];
    for (bytes, why) in table {
        assert_eq!(ControlPacket::decode(&bytes), Err(why), "{bytes:x?}");
    }
    for state in [0, 1] {
        assert!(ControlPacket::decode(&unknown(state)).is_ok());
    }
}

#[test]
fn bytes_after_the_packet_are_ignored() {
    let longer = [&SAMPLE[..], &[0xff; 8]].concat();
    assert_eq!(ControlPacket::decode(&longer), ControlPacket::decode(&SAMPLE));
}

prop_compose! {
    pub fn any_packet()(
        (diagnostic, state, multiplier, mine, yours) in (0u8..32, 0u8..4, 1u8.., 1u32.., 1u32..),
        (is_poll, is_final, is_demand) in any::<(bool, bool, bool)>(),
        (transmit, receive) in any::<(u32, u32)>(),
    ) -> ControlPacket {
        ControlPacket {
            diagnostic: Diagnostic(diagnostic), state: decode_state(state << 6), is_poll, is_final, is_demand,
            multiplier, mine, yours,
            transmit: Duration::from_micros(transmit.into()), receive: Duration::from_micros(receive.into()),
        }
    }
}

proptest! {
    #[test]
    fn an_encoded_packet_is_decoded_as_it_was(packet in any_packet()) {
        prop_assert_eq!(ControlPacket::decode(&packet.encode()), Ok(packet));
    }

    #[test]
    fn every_decoded_packet_is_valid(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(packet) = ControlPacket::decode(&bytes) {
            prop_assert!(packet.mine != 0 && packet.multiplier != 0);
            prop_assert_eq!(ControlPacket::decode(&packet.encode()), Ok(packet));
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
        understood += u32::from(ControlPacket::decode(&bytes[..len]).is_ok());
    }
    assert!((100_000..900_000).contains(&understood), "{understood}");
}
