use super::*;

/// `192.0.2.80: director1 director2 on eth0, ready`
fn candidate_lines(cluster: &Cluster, node: &str) -> Vec<String> {
    let plan = plan_on(cluster, node);
    let line = |(vip, candidates): (&IpAddr, &link::Candidates)| {
        let join =
            |names: &BTreeSet<Arc<str>>| names.iter().map(|name| format!(" {name}")).collect::<String>();
        let on = if candidates.interfaces.is_empty() { String::new() } else { " on".to_owned() };
        let ready = if candidates.ready { ", ready" } else { "" };
        format!("{vip}:{}{on}{}{ready}", join(candidates.ballot.nodes()), join(&candidates.interfaces))
    };
    plan.l2.vips.iter().map(line).collect()
}

#[test]
fn candidates_are_those_who_could_carry_a_vip_and_all_nodes_agree_on_them() {
    let cluster = world(&l2_advertisement("lan", "ipAddressPools: [main]"));
    let expected = |ready: [&str; 4]| {
        let [mail, local, web, web6] = ready;
        vec![
            format!("192.0.2.25: director1 director2 node1 node2{mail}"),
            format!("192.0.2.26: node2{local}"),
            format!("192.0.2.80: director1 director2{web}"),
            format!("2001:db8::80: director1 director2{web6}"),
        ]
    };
    assert_eq!(candidate_lines(&cluster, "node1"), expected([", ready", "", "", ""]));
    assert_eq!(candidate_lines(&cluster, "node2"), expected([", ready", ", ready", "", ""]));
    assert_eq!(candidate_lines(&cluster, "director1"), expected([", ready", "", ", ready", ", ready"]));
    let plan = plan_on(&cluster, "node1");
    assert_eq!(&*plan.l2.me, "node1");
    assert_eq!(plan.l2.nodes.len(), 4);
    assert_eq!(plan.l2.nodes["director1"], [ip("10.0.0.11"), ip("fd00::11")]);
}

#[test]
fn a_director_that_has_not_proven_a_vip_is_a_candidate_but_not_ready() {
    let cluster = world(&l2_advertisement("lan", ""));
    let plan = plan(&cluster, &identity("director1"), &BTreeSet::new(), Leaving::No);
    let web = &plan.l2.vips[&ip(WEB)];
    assert_eq!((web.ballot.nodes().len(), web.ready), (2, false));
}

#[test]
fn node_selectors_interfaces_and_service_selectors_are_kept() {
    let table: &[(&str, &str, &[&str])] = &[
        (
            "nodeSelectors: [{matchLabels: {rack: b}}], ipAddressPools: [main]",
            "node2",
            &[
                "192.0.2.25: director2 node2, ready",
                "192.0.2.26: node2, ready",
                "192.0.2.80: director2",
                "2001:db8::80: director2",
            ],
        ),
        (
            "interfaces: [eth0, eth1], serviceSelectors: [{matchLabels: {app: web}}]",
            "director2",
            &[
                "192.0.2.80: director1 director2 on eth0 eth1, ready",
                "2001:db8::80: director1 director2 on eth0 eth1, ready",
            ],
        ),
        ("ipAddressPoolSelectors: [{matchLabels: {tier: back}}]", "node1", &[]),
        // A node that no advertisement chooses has no interfaces to announce on.
        (
            "nodeSelectors: [{matchLabels: {rack: a}}], interfaces: [eth0], serviceSelectors: [{matchLabels: {app: mail}}]",
            "node2",
            &["192.0.2.25: director1 node1"],
        ),
    ];
    for (spec, node, expected) in table {
        assert_eq!(candidate_lines(&world(&l2_advertisement("lan", spec)), node), *expected, "{spec}");
    }
}

#[test]
fn several_advertisements_add_up_as_with_metallb() {
    let mail = "serviceSelectors: [{matchLabels: {app: mail}}]";
    let one = l2_advertisement(
        "one",
        &format!("interfaces: [eth0], nodeSelectors: [{{matchLabels: {{rack: a}}}}], {mail}"),
    );
    let two = l2_advertisement("two", &format!("interfaces: [eth1], {mail}"));
    let both = world(&format!("{one}{two}"));
    assert_eq!(
        candidate_lines(&both, "node1"),
        ["192.0.2.25: director1 director2 node1 node2 on eth0 eth1, ready"]
    );
    assert_eq!(
        candidate_lines(&both, "node2"),
        ["192.0.2.25: director1 director2 node1 node2 on eth1, ready"]
    );
    // An advertisement without interfaces means all of them, whatever others name.
    let three = l2_advertisement("three", mail);
    let all = world(&format!("{one}{two}{three}"));
    assert_eq!(candidate_lines(&all, "node1"), ["192.0.2.25: director1 director2 node1 node2, ready"]);
}

#[test]
fn only_vips_in_the_data_path_need_our_programs() {
    let plan = plan_on(&world(&l2_advertisement("lan", "")), "director1");
    let needs = |vip| plan.l2.vips[&ip(vip)].in_data_path;
    assert!(needs(WEB) && needs(WEB6) && !needs(MAIL) && !needs(LOCAL));
}

#[test]
fn a_node_that_is_no_candidate_has_no_other_agents_to_talk_with() {
    let directors = "nodeSelectors: [{matchLabels: {trigon.dev/director: 'true'}}]";
    for (text, node, expected) in [
        (String::new(), "director1", 0),
        (l2_advertisement("lan", directors), "node1", 0),
        (l2_advertisement("lan", directors), "director1", 2),
    ] {
        assert_eq!(plan_on(&world(&text), node).l2.nodes.len(), expected, "{text}");
    }
}

/// With thousands of VIPs and hundreds of nodes, a ballot for each VIP would be slow.
#[test]
fn vips_with_the_same_candidates_share_the_ballot() {
    let plan = plan_on(&world(&l2_advertisement("lan", "ipAddressPools: [main]")), "node1");
    let ballot = |vip| &plan.l2.vips[&ip(vip)].ballot;
    assert!(Arc::ptr_eq(ballot(WEB), ballot(WEB6)));
    assert!(!Arc::ptr_eq(ballot(WEB), ballot(MAIL)));
}

#[test]
fn a_named_interface_that_cannot_announce_is_a_problem() {
    let named =
        l2_advertisement("one", "interfaces: [eht0, eth0]") + &l2_advertisement("two", "interfaces: [eth1]");
    let elsewhere =
        l2_advertisement("three", "interfaces: [eht0], nodeSelectors: [{matchLabels: {rack: b}}]");
    let cluster = world(&(named + &elsewhere));
    let fault = |interface: &str, why| link::Fault { interface: interface.to_owned(), why };
    let status = |vip| link::VipStatus {
        vip: ip(vip),
        owner: None,
        announcing: false,
        interfaces: Vec::new(),
        faults: vec![fault("eht0", link::FaultReason::Missing), fault("eth1", link::FaultReason::NoProgram)],
        candidates: Vec::new(),
    };
    let vips = [status(WEB), status(WEB6)];
    let problems: Vec<_> =
        interface_problems(&cluster, &identity("director1"), &vips).iter().map(ToString::to_string).collect();
    let expected = [
        "L2Advertisement default/one: spec.interfaces: node director1 has no interface `eht0`; correct the name, or \
         choose nodes that have it by nodeSelectors",
        "L2Advertisement default/two: spec.interfaces: interface `eth1` of node director1 is none of its agent's: VIPs \
         in the data path are not announced there; start the agent with --interface eth1 too, or name one of its \
         interfaces, or a VLAN on one",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn one_vip_is_announced_by_bgp_and_by_l2() {
    let plan = plan_on(&world(&(l2_advertisement("lan", "") + &bgp_advertisement("all", ""))), "node1");
    assert!(route_lines(&plan).contains(&"router1 192.0.2.25/32".to_owned()));
    assert!(plan.l2.vips[&ip(MAIL)].ready);
}
