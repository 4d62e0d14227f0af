use super::*;

fn silence_of(more: &str, vip: &str) -> Option<String> {
    silence_in(&world(more), vip)
}

/// Message and remedy of the problem that `vip` is announced by nobody.
fn silence_in(cluster: &Cluster, vip: &str) -> Option<String> {
    let head = format!("{vip} is announced by nobody: ");
    let problems = silent_vip_problems(cluster);
    let problem = problems.iter().find(|problem| problem.message.starts_with(&head))?;
    Some(format!("{}; {}", problem.message, problem.remedy))
}

#[test]
fn a_vip_that_nobody_announces_has_a_reason_and_a_remedy() {
    let all = bgp_advertisement("all", "");
    let table = [
        (
            bgp_advertisement("a", "ipAddressPoolSelectors: [{matchLabels: {tier: back}}]"),
            MAIL,
            "no advertisement chooses AddressPool `main`; add",
        ),
        (
            bgp_advertisement("a", "ipAddressPools: [main]"),
            OUTSIDE,
            "it is in no AddressPool, and every advertisement chooses pools; add",
        ),
        (all.clone(), EMPTY, "no node has an endpoint for it that takes new connections; start"),
        (all.clone(), MAIL6, "no node has an endpoint for it that takes new connections; start"),
        (
            bgp_advertisement("a", "nodeSelectors: [{matchLabels: {rack: c}}]"),
            WEB,
            "of the nodes that could (director1, director2), no advertisement with a peer chooses any; correct",
        ),
        (
            bgp_advertisement("a", "serviceSelectors: [{matchLabels: {app: mail}}]"),
            LOCAL,
            "of the nodes that could (node2), no",
        ),
        // The second router is for the other rack.
        (
            bgp_advertisement("a", "peers: [router2], nodeSelectors: [{matchLabels: {rack: a}}]"),
            MAIL,
            "of the nodes that could (director1, director2, node1, node2), no advertisement with a peer",
        ),
    ];
    for (more, vip, expected) in table {
        let found = silence_of(&more, vip).unwrap();
        let (_, reason) = found.split_once(" is announced by nobody: ").unwrap();
        assert!(reason.starts_with(expected), "\n   found: {reason}\nexpected: {expected}");
    }
    for vip in [WEB, WEB6, MAIL, LOCAL, OUTSIDE] {
        assert_eq!(silence_of(&all, vip), None);
        assert_eq!(silence_of(&l2_advertisement("lan", ""), vip), None);
    }
    assert_eq!(silence_of(&all, "203.0.113.1"), None);
}

#[test]
fn without_a_director_nothing_of_the_data_path_is_announced() {
    let text = format!("{WORLD}{}{}", services(), bgp_advertisement("all", ""))
        .replace("trigon.dev/director: \"true\", ", "");
    let found = silence_in(&cluster_of(&text), WEB).unwrap();
    assert!(found.contains("no Node is a director; label"), "{found}");
}

#[test]
fn silent_vips_are_problems_only_if_there_are_advertisements() {
    assert_eq!(silent_vip_problems(&world("")), []);
    let told: Vec<_> = silent_vip_problems(&world(&bgp_advertisement("a", "ipAddressPools: [main]")))
        .iter()
        .map(ToString::to_string)
        .collect();
    let starts = [
        "Service default/empty: status.loadBalancer.ingress: 192.0.2.27 is announced by nobody: ",
        "Service default/outside: status.loadBalancer.ingress: 198.51.100.1 is announced by nobody: ",
        "Service default/mail: status.loadBalancer.ingress: 2001:db8::25 is announced by nobody: ",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    assert!(told.iter().zip(starts).all(|(told, start)| told.starts_with(start)), "{told:#?}");
}
