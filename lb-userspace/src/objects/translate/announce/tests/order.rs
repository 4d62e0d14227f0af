//! The order in which objects arrive makes no difference.

use proptest::prelude::*;

use super::*;

/// Objects that are good, bad, and in conflict with others.
const MORE: &str = r#"---
apiVersion: trigon.dev/v1alpha1
kind: AddressPool
metadata: {name: overlapping}
spec: {addresses: [192.0.2.128/25]}
---
apiVersion: trigon.dev/v1alpha1
kind: AddressPool
metadata: {name: web, namespace: other}
spec: {addresses: [198.51.100.0/24]}
---
apiVersion: trigon.dev/v1alpha1
kind: AddressPool
metadata: {name: later, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {addresses: [192.0.2.192/26, 203.0.113.0/28]}
---
apiVersion: trigon.dev/v1alpha1
kind: BgpPeer
metadata: {name: same}
spec: {myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.254}
---
apiVersion: trigon.dev/v1alpha1
kind: BgpPeer
metadata: {name: bad}
spec: {myASN: 0, peerASN: 64513, peerAddress: 10.0.0.253}
---
apiVersion: trigon.dev/v1alpha1
kind: BgpAdvertisement
metadata: {name: other}
spec: {localPref: 300, aggregationLength: 24}
---
apiVersion: trigon.dev/v1alpha1
kind: BgpAdvertisement
metadata: {name: third}
spec: {localPref: 400}
---
apiVersion: trigon.dev/v1alpha1
kind: Community
metadata: {name: more}
spec: {communities: [{name: anycast, value: "1:1"}]}
"#;

fn load_documents(documents: &[&str], before: &Cluster) -> (Announcing, Vec<String>) {
    let mut index = Index::with_announcing(TranslateConfig::default(), Arc::clone(&before.announcing));
    for document in documents {
        let loaded = read_text(document).unwrap();
        loaded.objects.iter().for_each(|located| index.apply(located.object.clone(), None));
    }
    let announcing = Announcing::clone(&index.cluster().announcing);
    (announcing, index.faults().iter().chain(&index.refused()).map(ToString::to_string).collect())
}

fn all_documents() -> Vec<&'static str> {
    BASE.split("---\n").chain(MORE.split("---\n")).filter(|text| !text.is_empty()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn the_order_of_objects_never_matters(
        order in Just(all_documents()).prop_shuffle(),
        known in any::<bool>(),
    ) {
        let before = if known { loaded_after(BASE, &Cluster::default()).0 } else { Cluster::default() };
        let expected = load_documents(&all_documents(), &before);
        prop_assert!(expected.1.len() >= 5, "{:#?}", expected.1);
        prop_assert_eq!(load_documents(&order, &before), expected);
    }

    /// Objects that are added to a working configuration do not change it.
    #[test]
    fn more_objects_never_change_what_the_others_are(
        more in prop::collection::vec(prop::sample::select(MORE.split("---\n").skip(1).collect::<Vec<_>>()), 0..5),
    ) {
        let before = loaded_after(BASE, &Cluster::default()).0;
        let base: Vec<_> = BASE.split("---\n").collect();
        let all: Vec<_> = more.iter().copied().chain(base.iter().copied()).collect();
        let (after, _) = load_documents(&all, &before);
        let was = &before.announcing;
        prop_assert!(was.pools.iter().all(|(name, pool)| after.pools.get(name) == Some(pool)));
        prop_assert!(was.peers.iter().all(|(name, peer)| after.peers.get(name) == Some(peer)));
        prop_assert!(was.bgp.iter().all(|(name, one)| after.bgp.get(name) == Some(one)));
        prop_assert!(was.l2.iter().all(|(name, one)| after.l2.get(name) == Some(one)));
    }
}
