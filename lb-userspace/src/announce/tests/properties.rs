use proptest::prelude::*;

use super::*;

fn any_spec() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "ipAddressPools: [main]",
        "ipAddressPoolSelectors: [{matchLabels: {tier: front}}]",
        "nodeSelectors: [{matchLabels: {rack: a}}]",
        "nodeSelectors: [{matchLabels: {rack: b}}]",
        "serviceSelectors: [{matchLabels: {app: web}}]",
        "serviceSelectors: [{matchExpressions: [{key: app, operator: NotIn, values: [web]}]}]",
    ]);
    prop::collection::btree_set(field, 0..3).prop_map(|fields| {
        let mut seen = BTreeSet::new();
        let fields: Vec<_> =
            fields.into_iter().filter(|field| seen.insert(field.split(':').next())).collect();
        fields.join(", ")
    })
}

fn any_carried() -> impl Strategy<Value = BTreeSet<IpAddr>> {
    prop::collection::btree_set(
        prop::sample::select(vec![ip(WEB), ip(WEB6), ip(MAIL), ip("203.0.113.9")]),
        0..4,
    )
}

const NODES: [&str; 5] = ["director1", "director2", "node1", "node2", "stranger"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn a_node_announces_only_vips_that_it_can_serve(
        specs in prop::collection::vec((any_spec(), any::<bool>()), 0..4),
        carried in any_carried(),
        node in prop::sample::select(NODES.to_vec()),
    ) {
        let text: String = specs.iter().enumerate().map(|(index, (spec, is_bgp))| {
            let name = format!("a{index}");
            if *is_bgp { bgp_advertisement(&name, spec) } else { l2_advertisement(&name, spec) }
        }).collect();
        let cluster = world(&text);
        let is_director = node.starts_with("director");
        let carried = if is_director { carried } else { BTreeSet::new() };
        let plan = plan(&cluster, &identity(node), &carried, Leaving::No);
        let announced = plan.bgp.peers.values().flat_map(|peer| peer.routes.keys().map(|prefix| prefix.addr()));
        let ready = plan.l2.vips.iter().filter(|(_, candidates)| candidates.ready).map(|(vip, _)| *vip);
        for vip in announced.chain(ready) {
            prop_assert!(vip != ip(EMPTY));
            prop_assert!(vip != ip(LOCAL) || node == "node2");
            prop_assert!(vip != ip(WEB) || carried.contains(&vip));
            let head = format!("{vip} is announced by nobody");
            prop_assert!(!silent_vip_problems(&cluster).iter().any(|problem| problem.message.starts_with(&head)));
        }
        for (vip, candidates) in &plan.l2.vips {
            let ballot = &candidates.ballot;
            prop_assert!(!ballot.nodes().is_empty());
            prop_assert!(!candidates.ready || ballot.has_node(node));
            let is_known = |name| plan.l2.nodes.contains_key(name);
            prop_assert!(!ballot.has_node(node) || ballot.nodes().iter().all(is_known), "{vip}");
        }
    }

    /// An election that nodes see differently would have two winners, or none.
    #[test]
    fn all_nodes_see_the_same_candidates(
        specs in prop::collection::vec(any_spec(), 0..4),
        carried in any_carried(),
    ) {
        let text: String =
            specs.iter().enumerate().map(|(index, spec)| l2_advertisement(&format!("a{index}"), spec)).collect();
        let cluster = world(&text);
        let seen = |node: &str| {
            let plan = plan(&cluster, &identity(node), &carried, Leaving::No);
            plan.l2.vips.into_iter().map(|(vip, candidates)| (vip, candidates.ballot)).collect::<Vec<_>>()
        };
        let first = seen("director1");
        for node in NODES {
            prop_assert_eq!(&seen(node), &first);
        }
    }
}
