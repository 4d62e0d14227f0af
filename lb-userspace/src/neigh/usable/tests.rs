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
