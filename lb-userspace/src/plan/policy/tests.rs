use super::*;

fn range(text: &str) -> SourceRange {
    SourceRange::from(text.parse::<IpNet>().unwrap())
}

#[test]
fn a_range_is_printed_as_it_was_written() {
    for text in ["198.51.100.0/24", "0.0.0.0/0", "192.0.2.1/32", "2001:db8::/32", "::/0", "2001:db8::1/128"] {
        assert_eq!(range(text).to_string(), text);
    }
}

#[test]
fn the_shares_of_new_flows_are_by_weight_and_nobody_gets_none() {
    let of = |all, own, total| {
        let policy = model::Policy { new_flows: Some(NewFlows::Everywhere(all)), ..model::Policy::default() };
        PlannedPolicy::new(&policy, Some(FlowShare { own, total })).new_flows
    };
    assert_eq!([of(100, 1, 3), of(100, 2, 3), of(100, 3, 3)], [33, 66, 100]);
    assert_eq!([of(1, 1, 3), of(100, 0, 3), of(100, 0, 0)], [1, 1, 1]);
    assert_eq!(of(u32::MAX, u32::MAX, 1), u32::MAX);
    let unlimited = PlannedPolicy::new(&model::Policy::default(), Some(FlowShare { own: 1, total: 1 }));
    assert_eq!(unlimited, PlannedPolicy::default());
}

#[test]
fn the_key_of_a_range_survives_the_kernel() {
    for text in ["198.51.100.0/24", "::/0", "2001:db8::1/128"] {
        let (len, key) = range(text).key(7);
        assert_eq!(SourceRange::from_key(len, key), (7, range(text)));
        assert!((RangeKey::SERVICE_BITS..=RangeKey::BITS).contains(&len));
    }
    assert_eq!(range("198.51.100.0/24").key(7).0, 32 + 96 + 24);
}
