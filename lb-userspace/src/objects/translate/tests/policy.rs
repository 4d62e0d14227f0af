use super::*;
use crate::objects::model::{NewFlows, Policy};

const ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// The ranges of the service with this VIP.
fn ranges(text: &str, vip: &str) -> Vec<String> {
    let (cluster, problems) = cluster_with(text, TranslateConfig::default());
    assert_eq!(problems, [""; 0]);
    let vip: IpAddr = vip.parse().unwrap();
    let service = cluster.services.values().find(|service| service.frontend.vip == vip).unwrap();
    service.policy.ranges.iter().map(ToString::to_string).collect()
}

fn with_field(ranges: &str) -> String {
    changed_base("spec:\n", &format!("spec:\n  loadBalancerSourceRanges: {ranges}\n"))
        .replace("- ip: 192.0.2.1", "- ip: 192.0.2.1\n    - ip: 2001:db8::1")
}

fn with_annotation(text: &str, ranges: &str) -> String {
    text.replace("    trigon.dev/delivery: auto", &format!("    {ANNOTATION}: '{ranges}'"))
}

#[test]
fn source_ranges_are_those_of_the_vips_family() {
    let both = with_field("[203.0.113.9/24, ' 10.0.0.0/8 ', 10.1.2.3/8, 2001:db8:1::/48]");
    assert_eq!(ranges(&both, "192.0.2.1"), ["10.0.0.0/8", "203.0.113.0/24"]);
    assert_eq!(ranges(&both, "2001:db8::1"), ["2001:db8:1::/48"]);
    // As with kube-proxy, the other family is open then.
    let one = with_field("[10.0.0.0/8]");
    assert_eq!(ranges(&one, "192.0.2.1"), ["10.0.0.0/8"]);
    assert_eq!(ranges(&one, "2001:db8::1"), [""; 0]);
}

#[test]
fn the_annotation_counts_where_the_field_is_empty() {
    let annotated = with_annotation(BASE, " 10.0.0.0/8, 192.0.2.0/24 ");
    assert_eq!(ranges(&annotated, "192.0.2.1"), ["10.0.0.0/8", "192.0.2.0/24"]);
    assert_eq!(ranges(&with_annotation(BASE, " "), "192.0.2.1"), [""; 0]);
    assert_eq!(ranges(&with_annotation(&with_field("[]"), "10.0.0.0/8"), "192.0.2.1"), ["10.0.0.0/8"]);
    assert_eq!(
        ranges(&with_annotation(&with_field("[11.0.0.0/8]"), "no range"), "192.0.2.1"),
        ["11.0.0.0/8"]
    );
}

/// Of the one service in it.
fn policy(text: &str) -> Policy {
    let (cluster, problems) = cluster_with(text, TranslateConfig::default());
    assert_eq!(problems, [""; 0]);
    cluster.services.values().next().unwrap().policy.clone()
}

#[test]
fn affinity_lasts_for_three_hours_or_as_long_as_is_written() {
    let affinity = |fields: &str| policy(&changed_base("spec:\n", &format!("spec:\n{fields}"))).affinity;
    assert_eq!(affinity(""), None);
    assert_eq!(affinity("  sessionAffinity: None\n"), None);
    assert_eq!(affinity("  sessionAffinity: ClientIP\n"), Some(10_800));
    assert_eq!(
        affinity("  sessionAffinity: ClientIP\n  sessionAffinityConfig: {clientIP: {}}\n"),
        Some(10_800)
    );
    for seconds in [1, 60, 86_400] {
        let config = format!("  sessionAffinityConfig: {{clientIP: {{timeoutSeconds: {seconds}}}}}\n");
        assert_eq!(affinity(&format!("  sessionAffinity: ClientIP\n{config}")), Some(seconds));
    }
}

#[test]
fn new_flows_are_unlimited_unless_a_number_is_written() {
    assert_eq!(policy(BASE).new_flows, None);
    let limited = changed_base("trigon.dev/delivery: auto", "trigon.dev/new-flows-per-second: \"500\"");
    assert_eq!(policy(&limited).new_flows, Some(NewFlows::Everywhere(500)));
}
