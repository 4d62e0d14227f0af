use proptest::prelude::*;

use super::*;

fn vip(number: u32) -> IpAddr {
    std::net::Ipv4Addr::from(0x0a00_0000 + number).into()
}

const BALLOT: BallotId = BallotId::MIN;
const OTHER: BallotId = BallotId::MAX;

fn vips(numbers: impl IntoIterator<Item = u32>) -> BTreeMap<IpAddr, BallotId> {
    numbers.into_iter().map(|number| (vip(number), BALLOT)).collect()
}

/// Parts are told and learnt until nothing is left: how many there were.
fn exchange_updates(ours: &OwnReadiness, theirs: &mut PeerReadiness) -> usize {
    let mut parts = 0;
    while theirs.known() != ours.version() {
        let known = theirs.known();
        theirs.apply_update(&ours.next_update(known));
        assert_ne!(theirs.known(), known, "no progress");
        parts += 1;
    }
    parts
}

fn known_ballots(theirs: &PeerReadiness) -> BTreeMap<IpAddr, BallotId> {
    theirs.ready.iter().map(|(vip, ballot)| (*vip, *ballot)).collect()
}

#[test]
fn only_changes_are_sent() {
    let (mut ours, mut theirs) = (OwnReadiness::default(), PeerReadiness::default());
    assert!(ours.set_ready(&vips(0..5000)));
    assert_eq!(exchange_updates(&ours, &mut theirs), 5000_usize.div_ceil(MAX_ENTRIES));
    assert!(!ours.set_ready(&vips(0..5000)));
    assert!(ours.set_ready(&vips(1..5001)));
    let update = ours.next_update(theirs.known());
    assert_eq!(update.entries, [(vip(0), None), (vip(5000), Some(BALLOT))]);
    assert_eq!(exchange_updates(&ours, &mut theirs), 1);
    assert_eq!(known_ballots(&theirs), vips(1..5001));
}

#[test]
fn a_part_that_was_lost_or_came_twice_does_no_harm() {
    let (mut ours, mut theirs) = (OwnReadiness::default(), PeerReadiness::default());
    ours.set_ready(&vips(0..100));
    theirs.apply_update(&ours.next_update(0));
    let second = ours.next_update(theirs.known());
    theirs.apply_update(&second);
    let known = theirs.known();
    ours.set_ready(&vips(0..101));
    let skips = ReadinessUpdate { from: second.to + 1, to: ours.version(), entries: vec![(vip(9), None)] };
    for useless in [second, skips] {
        theirs.apply_update(&useless);
        assert_eq!((theirs.known(), known_ballots(&theirs)), (known, vips(0..100)));
    }
    exchange_updates(&ours, &mut theirs);
    assert_eq!(known_ballots(&theirs), vips(0..101));
}

#[test]
fn ready_since_is_the_version_that_others_must_know() {
    let mut ours = OwnReadiness::default();
    ours.set_ready(&vips([1]));
    let first = ours.ready_since(&vip(1)).unwrap();
    ours.set_ready(&vips([]));
    assert_eq!(ours.ready_since(&vip(1)), None);
    ours.set_ready(&vips([1]));
    let second = ours.ready_since(&vip(1)).unwrap();
    assert!(first.0 == second.0 && first.1 < second.1);
    assert!(!ours.set_ready(&vips([1])));
    // Another ballot is another thing to know.
    assert!(ours.set_ready(&[(vip(1), OTHER)].into()));
    let (ballot, third) = ours.ready_since(&vip(1)).unwrap();
    assert!(ballot == OTHER && second.1 < third);
    assert_eq!(ours.next_update(second.1).entries, [(vip(1), Some(OTHER))]);
}

#[test]
fn vips_that_are_gone_do_not_pile_up() {
    let (mut ours, mut theirs) = (OwnReadiness::default(), PeerReadiness::default());
    ours.set_ready(&vips(0..200));
    exchange_updates(&ours, &mut theirs);
    let mut middle = PeerReadiness::default();
    middle.apply_update(&ours.next_update(0));
    for round in 0..20 {
        ours.set_ready(&vips(round * 1000..(round + 1) * 1000));
        assert!(ours.vips.len() <= 1000 + MAX_GONE && ours.changes.len() == ours.vips.len());
    }
    exchange_updates(&ours, &mut theirs);
    exchange_updates(&ours, &mut middle);
    assert_eq!(known_ballots(&theirs), vips(19_000..20_000));
    assert_eq!(known_ballots(&middle), vips(19_000..20_000));
}

proptest! {
    #[test]
    fn every_agent_learns_all_readiness_in_the_end(
        steps in prop::collection::vec((prop::collection::btree_set(0u32..300, 0..200), 0usize..4), 1..20),
    ) {
        let (mut ours, mut theirs) = (OwnReadiness::default(), PeerReadiness::default());
        for (ready, told) in steps {
            let ready = vips(ready);
            ours.set_ready(&ready);
            for _ in 0..told {
                theirs.apply_update(&ours.next_update(theirs.known()));
            }
            let mut fresh = PeerReadiness::default();
            exchange_updates(&ours, &mut fresh);
            prop_assert_eq!(&known_ballots(&fresh), &ready);
            if told == 3 {
                exchange_updates(&ours, &mut theirs);
                prop_assert_eq!(known_ballots(&theirs), ready);
            }
        }
    }
}
