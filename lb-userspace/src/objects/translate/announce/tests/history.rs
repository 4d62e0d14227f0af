//! An object that is not good any more keeps its last good version.

use super::*;

/// Loads the texts one after the other; the result of the last one.
fn load_in_turn(texts: &[&str]) -> (Arc<Announcing>, Vec<String>) {
    let mut last = (Cluster::default(), Vec::new());
    for text in texts {
        last = loaded_after(text, &last.0);
    }
    (last.0.announcing, last.1)
}

#[test]
fn an_object_that_is_changed_for_the_worse_stays_what_it_was_and_all_else_goes_on() {
    let table = [
        // An object's own problem
        changed_base("peerASN: 64513", "peerASN: 0"),
        changed_base("value: 64512:100", "value: 64512"),
        changed_base("interfaces: [eth0]", "interfaces: [eth0, eth0]"),
        changed_base("transmitInterval: 100", "transmitInterval: 1"),
        changed_base("192.0.2.0/24", "192.0.2.0/33"),
        changed_base("communities: [anycast]", "communities: [anycats]"),
        // What cannot even be read
        changed_base("transmitInterval: 100", "transmitInterval: often"),
        changed_base("peerASN: 64513", "peerASM: 64513"),
        // What it refers to
        changed_base("ipAddressPools: [web]", "ipAddressPools: [wbe]"),
        changed_base("peers: [router1]", "peers: [router1, router3]"),
        changed_base("kubernetes.io/basic-auth", "Opaque"),
        changed_base("name: anycast\n", "name: unicast\n").replace("64512:100", "64512:101"),
        changed_base("192.0.2.0/24", "192.0.2.0/28")
            .replace("localPref: 100", "localPref: 100\n  aggregationLength: 24"),
    ];
    let before = good_announcing(BASE);
    for text in table {
        let more = format!(
            "{text}---\napiVersion: trigon.dev/v1alpha1\nkind: BfdProfile\nmetadata: {{name: new}}\nspec: {{}}\n"
        );
        let (after, problems) = load_in_turn(&[BASE, &more]);
        assert!(!problems.is_empty(), "{text}");
        assert!(after.profiles.contains_key("new"));
        let same = |name: &str| {
            (after.peers.get(name), after.bgp.get(name), after.l2.get(name), after.profiles.get(name))
                == (
                    before.peers.get(name),
                    before.bgp.get(name),
                    before.l2.get(name),
                    before.profiles.get(name),
                )
        };
        assert!(NAMES.iter().all(|name| same(name)), "{text}\n{after:#?}");
        // Again, and it is still there; corrected, and it is as it was.
        assert_eq!(load_in_turn(&[BASE, &more, &more]).0, after);
        assert_eq!(load_in_turn(&[BASE, &more, BASE]), (Arc::clone(&before), Vec::new()));
    }
}

#[test]
fn an_object_that_is_removed_is_gone() {
    let all = load_in_turn(&[
        BASE,
        BASE.split("---\napiVersion: trigon.dev/v1alpha1\nkind: L2Adv").next().unwrap(),
    ]);
    assert!(!all.0.l2.contains_key("lan"));
}

#[test]
fn a_new_object_that_conflicts_with_others_changes_nothing_for_them() {
    let spec = "spec: {myASN: 64512, peerASN: 1, peerAddress: 10.0.0.254}";
    let table = [
        // All of them are before the others by name.
        base_with("AddressPool", "metadata: {name: a}\nspec: {addresses: [192.0.2.7/32]}"),
        base_with("BgpPeer", &format!("metadata: {{name: a}}\n{spec}")),
        base_with("BgpAdvertisement", "metadata: {name: a}\nspec: {localPref: 200}"),
        base_with("Community", "metadata: {name: a}\nspec: {communities: [{name: anycast, value: '1:1'}]}"),
        base_with(
            "BgpPeer",
            "metadata: {name: router1, namespace: a}\nspec: {myASN: 1, peerASN: 2, peerAddress: 10.0.0.1}",
        ),
    ];
    for text in table {
        let (after, problems) = load_in_turn(&[BASE, &text]);
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert_eq!(after, good_announcing(BASE), "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_service_keeps_all_of_a_directory_out() {
    let service =
        "---\n{apiVersion: v1, kind: Service, metadata: {name: a, annotations: {trigon.dev/drs: 'true'}}}\n";
    let text = format!("{}{service}", changed_base("peerASN: 64513", "peerASN: 0"));
    let loaded = read_text(&text).unwrap();
    let problems = load_cluster(&loaded, TranslateConfig::default(), &Cluster::default()).unwrap_err();
    let objects: Vec<_> = problems.iter().map(|problem| &*problem.object).collect();
    assert_eq!(objects, ["Service default/a", "BgpPeer default/router1"]);
}
