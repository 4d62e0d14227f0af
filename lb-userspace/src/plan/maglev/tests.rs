use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LONGEST: u32 = 65537;

fn members(n: usize) -> Vec<(String, u32)> {
    (0..n).map(|i| (format!("node-{i}"), 1)).collect()
}

/// Slots by name.
fn count_slots(members: &[(String, u32)], table: &[u16]) -> BTreeMap<String, f64> {
    let mut shares = BTreeMap::new();
    for &slot in table {
        *shares.entry(members[slot as usize].0.clone()).or_default() += 1.0;
    }
    shares
}

#[test]
fn lengths_are_prime_and_grow_with_the_backends() {
    for len in LENGTHS {
        assert!((2..).take_while(|d| d * d <= len).all(|d| len % d != 0), "{len}");
    }
    assert_eq!(length_for(0), 509);
    assert_eq!(length_for(5), 509);
    assert_eq!(length_for(6), 2039);
    assert_eq!(length_for(16), 2039);
    assert_eq!(length_for(81), 8191);
    assert_eq!(length_for(100), 32749);
    assert_eq!(length_for(655), 65537);
    assert_eq!(length_for(usize::MAX), 65537);
}

#[test]
fn without_weighted_members_the_table_is_empty() {
    assert!(table::<&str>(&[], 509).is_empty());
    assert!(table(&[("a", 0)], 509).is_empty());
}

#[test]
fn weight_zero_gets_nothing() {
    assert!(table(&[("a", 0), ("b", 1)], 509).iter().all(|&slot| slot == 1));
}

#[test]
fn equal_backends_are_balanced_within_one_percent() {
    for n in 1..=100 {
        let members = members(n);
        let shares = count_slots(&members, &table(&members, LONGEST));
        let most = shares.values().fold(0.0, |a: f64, &b| a.max(b));
        let mean = f64::from(LONGEST) / n as f64;
        assert!(most / mean <= 1.01, "{n} backends: {}", most / mean);
    }
}

#[test]
fn removing_one_moves_little_more_than_its_share() {
    for n in [2, 3, 5, 10, 33, 100] {
        let all = members(n);
        let before = table(&all, LONGEST);
        for gone in [0, n / 2, n - 1] {
            let mut rest = all.clone();
            rest.remove(gone);
            let after = table(&rest, LONGEST);
            let moved =
                before.iter().zip(&after).filter(|&(&a, &b)| all[a as usize].0 != rest[b as usize].0).count();
            let share = moved as f64 / f64::from(LONGEST);
            assert!(share <= 1.0 / n as f64 + 0.02, "{n} backends without {gone}: {share}");
        }
    }
}

/// What directors and nodes of different releases must agree on.
#[test]
fn the_table_is_part_of_the_protocol() {
    let members = [("node1", 2), ("node2", 1), ("node3", 3)];
    let head: Vec<u16> = table(&members, 509).into_iter().take(24).collect();
    assert_eq!(head, HEAD);
}
const HEAD: [u16; 24] = [2, 0, 1, 1, 0, 1, 2, 0, 1, 2, 0, 2, 0, 0, 2, 1, 2, 2, 0, 0, 2, 2, 0, 2];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn weights_hold_within_two_percent(weights in prop::collection::vec(1u32..=20, 1..40)) {
        let members: Vec<_> =
            weights.iter().enumerate().map(|(i, &w)| (format!("10.0.0.{i}"), w)).collect();
        let total: u32 = weights.iter().sum();
        let shares = count_slots(&members, &table(&members, LONGEST));
        for (name, weight) in &members {
            let expected = f64::from(LONGEST) * f64::from(*weight) / f64::from(total);
            let off = (shares[name] - expected).abs() / expected;
            prop_assert!(off <= 0.02, "{name} of weight {weight}/{total}: {off}");
        }
    }

    #[test]
    fn the_order_of_input_is_irrelevant(
        names in prop::collection::btree_map("[a-z]{1,8}", 0u32..5, 1..20),
        seed: u64,
    ) {
        let sorted: Vec<_> = names.into_iter().collect();
        let mut shuffled = sorted.clone();
        shuffled.sort_by_key(|(name, _)| mix(fnv1a(name) ^ seed));
        let by_name = |members: &[(String, u32)]| -> Vec<String> {
            table(members, 509).iter().map(|&slot| members[slot as usize].0.clone()).collect()
        };
        prop_assert_eq!(by_name(&sorted), by_name(&shuffled));
    }

    #[test]
    fn every_slot_is_filled(n in 1usize..200, len in prop::sample::select(&LENGTHS[..])) {
        prop_assert_eq!(table(&members(n), len).len(), len as usize);
    }
}
