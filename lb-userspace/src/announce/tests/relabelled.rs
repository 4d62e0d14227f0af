//! A change of Node labels can bring two objects into conflict on a node.

use super::*;

/// Object x for nodes of rack a, as node1, and y for those of rack b, as node2, or with an SSD.
fn objects_of_two_racks(kind: &str, one: &str, other: &str) -> String {
    let selector = |rack: &str| format!("nodeSelectors: [{{matchLabels: {{rack: {rack}}}}}]");
    let others = "nodeSelectors: [{matchLabels: {disk: ssd}}, {matchLabels: {rack: b}}]";
    object(kind, "x", &format!("{one}, {}", selector("a")))
        + &object(kind, "y", &format!("{other}, {others}"))
}

/// The objects and their problems after node1 has got the label `disk: ssd`.
fn relabel_node1(more: &str) -> (Cluster, Vec<String>) {
    let before = world(more);
    let text = format!("{WORLD}{}{more}", services())
        .replace("name: node1, labels: {rack: a}", "name: node1, labels: {rack: a, disk: ssd}");
    let loaded = read_text(&text).unwrap();
    let (after, problems) = load_cluster(&loaded, TranslateConfig::default(), &before).unwrap();
    let anew = load_cluster(&loaded, TranslateConfig::default(), &Cluster::default()).unwrap();
    assert_eq!((&after, &problems), (&anew.0, &anew.1), "a restart makes no difference");
    (after, problems.iter().map(|problem| format!("{}: {}", problem.object, problem.message)).collect())
}

#[test]
fn a_peer_is_left_out_only_where_it_meets_another() {
    let peer = "myASN: 64512, peerASN: 64514, peerAddress: 10.0.0.200";
    let (cluster, problems) =
        relabel_node1(&objects_of_two_racks("BgpPeer", peer, &format!("{peer}, holdTime: 30s")));
    let expected = "BgpPeer default/y: 10.0.0.200 port 179 is already the peer of BgpPeer default/x on some nodes, \
                    where the first by name is followed";
    assert_eq!(problems, [expected]);
    let peers = |node: &str| -> Vec<String> {
        let peers = plan_on(&cluster, node).bgp.peers;
        peers.keys().filter(|name| !name.starts_with("router")).map(ToString::to_string).collect()
    };
    assert_eq!(["director1", "node1", "node2"].map(peers), [["x"], ["x"], ["y"]]);
}

#[test]
fn an_advertisement_gives_way_only_where_it_meets_another() {
    let (cluster, problems) = relabel_node1(&objects_of_two_racks("BgpAdvertisement", "med: 1", "med: 2"));
    let expected = "BgpAdvertisement default/y: 2 contradicts 1 of BgpAdvertisement default/x, for the same routes to \
                    the same peers on some nodes, where the first by name is followed";
    assert_eq!(problems, [expected]);
    let med = |node: &str| {
        plan_on(&cluster, node).bgp.peers["router1"].routes[&"192.0.2.25/32".parse().unwrap()].med
    };
    assert_eq!(["director1", "node1", "node2"].map(med), [Some(1), Some(1), Some(2)]);
}
