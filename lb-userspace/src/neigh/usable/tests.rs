use proptest::prelude::*;

use super::*;

const TARGET: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
const MAC: Mac = [7; 6];

fn answering() -> NextHop {
    NextHop { dst_mac: Some(MAC), ..NextHop::on_uplink() }
}

fn look(answers: &mut LastAnswers, reach: Reach) -> Reach {
    let hops = answers.usable_hops(&NextHops::unit(TARGET, reach), &[2, 3].into());
    hops[&TARGET].clone()
}

/// The last MAC address of a target whose neighbour answered once, and then this happened.
fn last_mac(then: &[Reach]) -> Option<Mac> {
    let mut answers = LastAnswers::default();
    look(&mut answers, Reach::Via(answering()));
    let mut last = None;
    for reach in then {
        last = match look(&mut answers, reach.clone()) {
            Reach::Via(hop) => hop.dst_mac,
            Reach::Local | Reach::Unreachable(_) => None,
        };
    }
    last
}

#[test]
fn only_a_silent_neighbour_keeps_its_last_mac_address() {
    let silent = || Reach::Via(NextHop::on_uplink());
    let gone = || Reach::Unreachable("no route".into());
    let by = |hop: NextHop| Reach::Via(hop);
    assert_eq!(last_mac(&[silent()]), Some(MAC));
    assert_eq!(last_mac(&[silent(), silent()]), Some(MAC));
    assert_eq!(last_mac(&[by(NextHop { mtu: 1400, ..NextHop::on_uplink() })]), Some(MAC));
    assert_eq!(last_mac(&[gone()]), None);
    assert_eq!(last_mac(&[gone(), silent()]), None, "the link was down meanwhile");
    assert_eq!(last_mac(&[by(NextHop { ifindex: 3, device: 3, ..NextHop::on_uplink() })]), None);
    let gateway = Some([10, 0, 0, 254].into());
    assert_eq!(
        last_mac(&[by(NextHop { gateway, on_link: false, ..NextHop::on_uplink() })]),
        None,
        "it is another neighbour"
    );
    assert_eq!(last_mac(&[Reach::Local, silent()]), None);
}

#[test]
fn a_target_that_is_not_looked_up_any_more_is_forgotten() {
    let mut answers = LastAnswers::default();
    look(&mut answers, Reach::Via(answering()));
    answers.usable_hops(&NextHops::new(), &[2].into());
    assert_eq!(look(&mut answers, Reach::Via(NextHop::on_uplink())), Reach::Via(NextHop::on_uplink()));
}

#[test]
fn silence_is_marked_and_an_adopted_address_is_used_until_there_is_an_answer() {
    let mut answers = LastAnswers::adopt([(TARGET, 2, [0; 2], MAC)]);
    let silent = NextHop { dst_mac: Some(MAC), is_silent: true, ..NextHop::on_uplink() };
    assert_eq!(look(&mut answers, Reach::Via(NextHop::on_uplink())), Reach::Via(silent));
    let other = NextHop { dst_mac: Some([8; 6]), ..NextHop::on_uplink() };
    assert_eq!(look(&mut answers, Reach::Via(other.clone())), Reach::Via(other));
    let mut answers = LastAnswers::adopt([(TARGET, 3, [0; 2], MAC)]);
    assert_eq!(
        look(&mut answers, Reach::Via(NextHop::on_uplink())),
        Reach::Via(NextHop::on_uplink()),
        "it was another device"
    );
}

#[test]
fn what_leaves_by_an_interface_that_is_not_ours_is_unreachable() {
    let foreign = NextHop { ifindex: 9, device: 9, interface: "other".into(), ..answering() };
    let Reach::Unreachable(reason) = look(&mut LastAnswers::default(), Reach::Via(foreign)) else {
        panic!("it is reachable")
    };
    assert!(reason.contains("--interface other"), "{reason}");
}

#[test]
fn an_adopted_address_is_of_one_neighbour_on_one_vlan() {
    let tagged = || LastAnswers::adopt([(TARGET, 2, [7, 0], MAC)]);
    assert_eq!(
        look(&mut tagged(), Reach::Via(NextHop::on_uplink())),
        Reach::Via(NextHop::on_uplink()),
        "it was on another VLAN"
    );
    let mut answers = LastAnswers::adopt([(TARGET, 2, [0; 2], MAC)]);
    look(&mut answers, Reach::Via(NextHop::on_uplink()));
    let gateway = Some([10, 0, 0, 254].into());
    let by_gateway = NextHop { gateway, on_link: false, ..NextHop::on_uplink() };
    assert_eq!(look(&mut answers, Reach::Via(by_gateway.clone())), Reach::Via(by_gateway));
}

/// Of some kind, by two gateways or on link, of two devices.
fn any_reach() -> impl Strategy<Value = Reach> {
    let gateway = prop::option::of(Just(IpAddr::from([10, 0, 0, 254])));
    let mac = prop::option::of((7u8..9).prop_map(|last| [last; 6]));
    let via = (gateway, mac, 2u32..4, 1400u32..1402).prop_map(|(gateway, dst_mac, device, mtu)| {
        let on_link = gateway.is_none();
        Reach::Via(NextHop {
            gateway,
            on_link,
            dst_mac,
            device,
            ifindex: device,
            mtu,
            ..NextHop::on_uplink()
        })
    });
    prop_oneof![6 => via, 1 => Just(Reach::Local), 1 => Just(Reach::Unreachable("no route".into()))]
}

/// What becomes of some targets, and perhaps other devices.
type Step = (Vec<(u8, Option<Reach>)>, Option<BTreeSet<u32>>);

fn any_step() -> impl Strategy<Value = Step> {
    let changes = prop::collection::vec((0u8..6, prop::option::weighted(0.8, any_reach())), 0..4);
    let devices = prop::option::weighted(0.1, prop::collection::btree_set(2u32..4, 0..3));
    (changes, devices)
}

fn all_targets_and_reaches(hops: &NextHops) -> Vec<(IpAddr, Reach)> {
    hops.iter().map(|(target, reach)| (*target, reach.clone())).collect()
}

proptest! {
    /// One that forgets what it was given looks at all next hops.
    #[test]
    fn looking_at_what_has_changed_gives_the_same_as_looking_at_all(
        adopted in prop::collection::vec(0u8..8, 0..4),
        steps in prop::collection::vec(any_step(), 1..16),
    ) {
        let target = |last: u8| IpAddr::from([10, 0, 0, last]);
        let adopt = || LastAnswers::adopt(adopted.iter().map(|last| (target(*last), 2, [0; 2], MAC)));
        let (mut incremental, mut from_scratch) = (adopt(), adopt());
        let (mut hops, mut devices) = (NextHops::new(), BTreeSet::from([2, 3]));
        let mut before = NextHops::new();
        for (changes, other_devices) in steps {
            for (last, reach) in changes {
                match reach {
                    Some(reach) => hops.insert(target(last), reach),
                    None => hops.remove(&target(last)),
                };
            }
            devices = other_devices.unwrap_or(devices);
            from_scratch.last = None;
            let all = from_scratch.usable_hops(&hops, &devices);
            let usable = incremental.usable_hops(&hops, &devices);
            prop_assert_eq!(all_targets_and_reaches(&usable), all_targets_and_reaches(&all));
            // The same entries without anything shared.
            let unshared: NextHops = all_targets_and_reaches(&all).into_iter().collect();
            prop_assert_eq!(changed_answers(&before, &usable), changed_answers(&before, &unshared));
            prop_assert_eq!(changed_answers(&before, &usable), changed_answers_of_all(&before, &unshared));
            before = NextHops::clone(&usable);
        }
    }
}

/// As [`changed_answers`], by looking at all.
fn changed_answers_of_all(before: &NextHops, now: &NextHops) -> Option<BTreeSet<IpAddr>> {
    let way = |reach: &Reach| match reach {
        Reach::Via(hop) => Reach::Via(NextHop { dst_mac: None, is_silent: false, ..hop.clone() }),
        other => other.clone(),
    };
    let ways = |hops: &NextHops| hops.iter().map(|(target, reach)| (*target, way(reach))).collect::<Vec<_>>();
    let changed = now.keys().filter(|target| before.get(*target) != now.get(*target));
    (ways(before) == ways(now)).then(|| changed.copied().collect())
}
