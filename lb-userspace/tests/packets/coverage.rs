//! Checks that the tables together reach every verdict.

use std::collections::HashSet;

use lb_common::Verdict;

use crate::{
    bystanders, case::Case, checks, cut, director, egress, egress_inside, egress_mss, egress_past_vip,
    groups, headers, hostile, icmp, kube_proxy, limit, node, owners, ranges, vlan,
};

/// The cases of all tables in which no packet depends on another.
pub fn all_cases() -> Vec<Case> {
    let tables = [
        director::cases(),
        node::cases(),
        owners::cases(),
        ranges::cases(),
        limit::cases(),
        icmp::cases(),
        kube_proxy::cases(),
        egress::cases(),
        egress_inside::cases(),
        egress_mss::cases(),
        egress_past_vip::cases(),
        checks::cases(),
        bystanders::cases(),
        cut::cases(),
        groups::cases(),
        headers::cases(),
        hostile::cases(),
        vlan::cases(),
    ];
    tables.into_iter().flatten().collect()
}

#[test]
fn every_verdict_is_reached() {
    let reached: HashSet<_> = all_cases().iter().map(|case| case.verdict).collect();
    let missing: Vec<_> = Verdict::all().filter(|verdict| !reached.contains(verdict)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let mut names = HashSet::new();
    for case in all_cases() {
        assert!(names.insert(case.name.clone()), "twice: {}", case.name);
    }
}
