use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn hops() -> Arc<NextHops> {
    let via = Reach::Via(NextHop {
        interface: "eth0".into(),
        source: ip("10.0.0.1"),
        on_link: false,
        gateway: Some(ip("10.0.0.254")),
        dst_mac: Some([4; 6]),
        ..NextHop::on_uplink()
    });
    let unreachable = Reach::Unreachable("no route".into());
    let all =
        [("10.0.0.5", Reach::Local), ("10.1.0.2", via.clone()), ("fd00::2", via), ("10.1.0.9", unreachable)];
    Arc::new(all.map(|(target, reach)| (ip(target), reach)).into_iter().collect())
}

fn report(source: &str, target: &str, mtu: u32) -> PathMtuReport {
    PathMtuReport { source: ip(source), target: ip(target), mtu }
}

fn mtu_to(mtus: &PathMtus, target: &str) -> u32 {
    match &mtus.adjusted_hops(&hops())[&ip(target)] {
        Reach::Via(hop) => hop.mtu,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_smallest_reported_mtu_holds_for_ten_minutes() {
    let (mut mtus, start) = (PathMtus::default(), Instant::now());
    let later = |minutes: u64| start + Duration::from_secs(60 * minutes);
    assert_eq!(mtu_to(&mtus, "10.1.0.2"), 1500);
    assert!(mtus.learn_report(&report("10.0.0.1", "10.1.0.2", 1400), &hops(), start));
    assert!(mtus.learn_report(&report("10.0.0.5", "10.1.0.2", 1300), &hops(), later(1)));
    assert!(!mtus.learn_report(&report("10.0.0.1", "10.1.0.2", 1400), &hops(), later(2)), "it must not grow");
    assert_eq!((mtu_to(&mtus, "10.1.0.2"), mtu_to(&mtus, "fd00::2")), (1300, 1500));
    assert!(!mtus.expire(later(10)));
    assert!(mtus.expire(later(11)));
    assert_eq!(mtu_to(&mtus, "10.1.0.2"), 1500);
}

#[test]
fn a_repeated_report_holds_longer() {
    let (mut mtus, start) = (PathMtus::default(), Instant::now());
    let told = report("10.0.0.1", "10.1.0.2", 1400);
    assert!(mtus.learn_report(&told, &hops(), start));
    assert!(!mtus.learn_report(&told, &hops(), start + LIFETIME / 2), "no change");
    assert!(!mtus.expire(start + LIFETIME));
    assert!(mtus.expire(start + LIFETIME * 2));
}

#[test]
fn unrelated_and_forged_reports_change_nothing() {
    let mut mtus = PathMtus::default();
    for (what, source, target, mtu) in [
        ("not from here", "10.0.0.9", "10.1.0.2", 1400),
        ("to nobody we know", "10.0.0.1", "10.1.0.3", 1400),
        ("to who is unreachable", "10.0.0.1", "10.1.0.9", 1400),
        ("to ourselves", "10.0.0.1", "10.0.0.5", 1400),
        ("no less than the link's", "10.0.0.1", "10.1.0.2", 1500),
        ("too little in IPv4", "10.0.0.1", "10.1.0.2", 575),
        ("nothing at all", "10.0.0.1", "10.1.0.2", 0),
        ("too little in IPv6", "10.0.0.1", "fd00::2", 1279),
    ] {
        assert!(!mtus.learn_report(&report(source, target, mtu), &hops(), Instant::now()), "{what}");
    }
    assert!(mtus.0.is_empty());
}
