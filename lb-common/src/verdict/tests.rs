use super::*;
use std::collections::HashSet;

/// Of this list, nothing is ever changed: new verdicts are added.
const NUMBERS: [(u32, &str); 44] = [
    (0, "pass"),
    (1, "pass_foreign_tunnel"),
    (2, "forward_l2"),
    (3, "forward_ipip"),
    (4, "redirect_l2"),
    (5, "redirect_ipip"),
    (6, "forward_gue"),
    (7, "redirect_gue"),
    (8, "hand_on"),
    (9, "hand_on_redirect"),
    (10, "answer_probe"),
    (11, "deliver"),
    (12, "echo_reply"),
    (13, "tell_too_big"),
    (14, "tell_too_big_routed"),
    (15, "pass_kube_proxy"),
    (32, "no_such_port"),
    (33, "other_protocol"),
    (34, "fragment"),
    (35, "ip_options"),
    (36, "truncated"),
    (37, "source_range"),
    (38, "no_backend"),
    (39, "next_hop_unresolved"),
    (40, "too_big"),
    (41, "hop_limit"),
    (42, "icmp"),
    (43, "icmp_unknown_flow"),
    (44, "tunnel_no_such_port"),
    (45, "no_endpoint"),
    (46, "flow_table"),
    (47, "spoofed"),
    (48, "new_flows"),
    (49, "same_port"),
    (50, "no_headroom"),
    (51, "stray"),
    (52, "dead_owner"),
    (53, "congestion"),
    (96, "egress_pass"),
    (97, "egress_reply"),
    (98, "egress_rewrite_failed"),
    (99, "egress_check"),
    (100, "egress_check_failed"),
    (101, "egress_return"),
];

#[test]
fn a_number_is_for_ever() {
    let all: Vec<_> = Verdict::all().map(|verdict| (verdict as u32, verdict.label())).collect();
    assert_eq!(all, NUMBERS);
}

#[test]
fn each_number_is_below_the_limit_and_has_its_verdict() {
    for verdict in Verdict::all() {
        assert!((verdict as u32) < Verdict::LIMIT, "{verdict:?}");
        assert_eq!(Verdict::from_number(verdict as u32), Some(verdict));
    }
    assert_eq!(Verdict::from_number(Verdict::LIMIT - 1), None);
    assert_eq!(Verdict::from_number(u32::MAX), None);
}

#[test]
fn the_action_at_ingress_is_the_fate() {
    for verdict in Verdict::all().take_while(|verdict| *verdict != Verdict::EgressPass) {
        assert_eq!(verdict.xdp_action(), verdict.fate() as u32, "{verdict:?}");
    }
}

#[test]
fn labels_are_distinct() {
    let labels: HashSet<_> = Verdict::all().map(Verdict::label).collect();
    assert_eq!(labels.len(), Verdict::all().count());
}

#[test]
fn there_is_a_remedy_for_every_drop_and_for_nothing_else() {
    for verdict in Verdict::all() {
        assert_eq!(verdict.remedy().is_some(), verdict.fate() == Fate::Drop, "{verdict:?}");
    }
}
