use proptest::prelude::*;

use super::*;
use crate::hash::Random;

fn any_ip() -> impl Strategy<Value = IpAddr> {
    let v4 = any::<[u8; 4]>().prop_map(IpAddr::from);
    let v6 = any::<[u8; 16]>().prop_map(|bytes| Ipv6Addr::from(bytes).to_canonical());
    prop_oneof![v4, v6]
}

prop_compose! {
    fn any_hello()(
        node in "[a-z0-9.-]{0,253}", (incarnation, sequence, known) in any::<(u64, u64, u64)>(),
        (is_leaving, alive_count, opinion, your_incarnation) in (any::<bool>(), any::<u8>(), 0u8..4, any::<u64>()),
        mut versions in any::<[u64; 3]>(),
        entries in prop::collection::vec((any_ip(), any::<u32>().prop_map(BallotId::new)), 0..=MAX_ENTRIES),
    ) -> Hello {
        versions.sort_unstable();
        let [from, to, version] = versions;
        let opinion = Opinion::decode(opinion).unwrap();
        let update = ReadinessUpdate { from, to, entries };
        Hello { node, incarnation, sequence, is_leaving, alive_count, opinion, your_incarnation, known, version, update }
    }
}

proptest! {
    #[test]
    fn an_encoded_hello_is_decoded_as_it_was(hello in any_hello()) {
        let bytes = hello.encode();
        prop_assert!(bytes.len() <= LONGEST);
        prop_assert_eq!(Hello::decode(&bytes), Some(hello));
    }

    #[test]
    fn a_truncated_hello_is_rejected(hello in any_hello(), cut in any::<prop::sample::Index>(), more in 1usize..9) {
        let bytes = hello.encode();
        prop_assert_eq!(Hello::decode(&bytes[..cut.index(bytes.len())]), None);
        prop_assert_eq!(Hello::decode(&[&bytes[..], &[0; 9][..more]].concat()), None);
    }
}

#[test]
fn a_million_broken_hellos_do_no_harm() {
    let mut random = Random::new(4);
    let update = ReadinessUpdate {
        from: 1,
        to: 3,
        entries: vec![([192, 0, 2, 1].into(), Some(BallotId::MAX)), (Ipv6Addr::LOCALHOST.into(), None)],
    };
    let hello = Hello {
        node: "node-1".into(),
        incarnation: 1,
        sequence: 2,
        is_leaving: false,
        alive_count: 0,
        opinion: Opinion::Alive,
        your_incarnation: 3,
        known: 4,
        version: 5,
        update,
    };
    let sample = hello.encode();
    let mut understood = 0;
    for _ in 0..1_000_000 {
        let mut bytes = sample.clone();
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.next() as u8;
        }
        bytes.truncate(if random.below(8) == 0 { random.below(100) as usize } else { LONGEST });
        understood += u32::from(Hello::decode(&bytes).is_some());
    }
    assert!((100_000..900_000).contains(&understood), "{understood}");
}
