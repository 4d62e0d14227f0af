mod history;
mod order;
mod problems;

use std::{net::IpAddr, sync::Arc, time::Duration};

use crate::{
    objects::{
        index::{Index, testing::load_cluster},
        model::{Announcing, Cluster, Labels, Requirement},
        source::file::read_text,
        translate::TranslateConfig,
    },
    protocols::bgp::{LargeCommunity, Remote, RemoteAs},
};

/// The manifest that the tests change: one object of each kind.
const BASE: &str = r#"apiVersion: v1
kind: Node
metadata: {name: node1, labels: {rack: a}}
status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}
---
apiVersion: trigon.dev/v1alpha1
kind: AddressPool
metadata:
  name: web
  labels: {tier: front}
spec:
  addresses:
  - 192.0.2.0/24
  - 2001:db8::10-2001:db8::20
---
apiVersion: trigon.dev/v1alpha1
kind: BgpPeer
metadata: {name: router1}
spec:
  myASN: 64512
  peerASN: 64513
  peerAddress: 10.0.0.254
  bfdProfile: fast
  passwordSecret: {name: md5}
---
apiVersion: trigon.dev/v1alpha1
kind: BgpAdvertisement
metadata: {name: all}
spec:
  localPref: 100
  communities: [anycast]
  ipAddressPools: [web]
  peers: [router1]
---
apiVersion: trigon.dev/v1alpha1
kind: L2Advertisement
metadata: {name: lan}
spec:
  interfaces: [eth0]
---
apiVersion: trigon.dev/v1alpha1
kind: BfdProfile
metadata: {name: fast}
spec:
  transmitInterval: 100
---
apiVersion: trigon.dev/v1alpha1
kind: Community
metadata: {name: names}
spec:
  communities:
  - name: anycast
    value: 64512:100
---
apiVersion: v1
kind: Secret
metadata: {name: md5}
type: kubernetes.io/basic-auth
stringData:
  password: hunter2
"#;

/// The base with one piece of text replaced by another.
fn changed_base(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from}");
    BASE.replacen(from, to, 1)
}

/// The base and one object more.
fn base_with(kind: &str, rest: &str) -> String {
    format!("{BASE}---\napiVersion: trigon.dev/v1alpha1\nkind: {kind}\n{rest}\n")
}

fn loaded_after(text: &str, before: &Cluster) -> (Cluster, Vec<String>) {
    let loaded = read_text(text).unwrap();
    let (cluster, problems) = load_cluster(&loaded, TranslateConfig::default(), before).unwrap();
    (cluster, problems.iter().map(|problem| problem.to_string()).collect())
}

fn announcing_of(text: &str) -> (Arc<Announcing>, Vec<String>) {
    let (cluster, problems) = loaded_after(text, &Cluster::default());
    (cluster.announcing, problems)
}

fn good_announcing(text: &str) -> Arc<Announcing> {
    let (announcing, problems) = announcing_of(text);
    assert_eq!(problems, [""; 0], "{text}");
    announcing
}

/// The names of everything that is good, kind after kind.
fn all_names(all: &Announcing) -> Vec<String> {
    let names = all.pools.keys().chain(all.communities.keys()).chain(all.profiles.keys());
    let names = names.chain(all.peers.keys()).chain(all.bgp.keys()).chain(all.l2.keys());
    names.map(ToString::to_string).collect()
}

const NAMES: [&str; 6] = ["web", "names", "fast", "router1", "all", "lan"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_objects_become_what_they_say() {
    let all = good_announcing(BASE);
    assert_eq!(all_names(&all), NAMES);
    let pool = &all.pools["web"];
    assert_eq!((pool.ranges[0].first, pool.ranges[0].last), (ip("192.0.2.0"), ip("192.0.2.255")));
    assert_eq!((pool.ranges[1].first, pool.ranges[1].last), (ip("2001:db8::10"), ip("2001:db8::20")));
    assert_eq!(pool.labels.get("tier"), Some("front"));
    let peer = &all.peers["router1"];
    assert_eq!((peer.local_as, peer.remote_as, peer.port), (64512, RemoteAs::Number(64513), 179));
    assert_eq!(peer.remote, Remote::Address { address: ip("10.0.0.254"), interface: None });
    assert_eq!(peer.password.as_ref().unwrap().bytes(), b"hunter2");
    let seconds = Duration::from_secs;
    assert_eq!((peer.hold_time, peer.keepalive, peer.connect_retry), (seconds(90), None, seconds(10)));
    assert_eq!((peer.families.ipv4, peer.families.ipv6), (true, true));
    let bfd = peer.bfd.unwrap();
    assert_eq!((bfd.transmit.as_millis(), bfd.receive.as_millis(), bfd.multiplier), (100, 300, 3));
    let advertisement = &all.bgp["all"];
    assert_eq!((advertisement.length_v4, advertisement.length_v6), (32, 128));
    assert_eq!(advertisement.attributes.local_pref, Some(100));
    assert_eq!(advertisement.attributes.communities, [64512 << 16 | 100].into());
    assert!(advertisement.is_for_peer("router1") && !advertisement.is_for_peer("router2"));
    assert_eq!(all.l2["lan"].interfaces, ["eth0".into()].into());
}

#[test]
fn fields_of_peers_become_session_parameters() {
    let peer = |from: &str, to: &str| (*good_announcing(&changed_base(from, to)).peers["router1"]).clone();
    let seconds = Duration::from_secs;
    let spec = "  myASN: 64512\n";
    let more = |text: &str| peer(spec, &format!("{spec}  {text}\n"));

    assert_eq!(peer("peerASN: 64513", "dynamicASN: internal").remote_as, RemoteAs::Internal);
    assert_eq!(peer("peerASN: 64513", "dynamicASN: external").remote_as, RemoteAs::External);
    assert_eq!(peer("peerAddress: 10.0.0.254", "interface: eth0").remote, Remote::Interface("eth0".into()));
    let link_local = Remote::Address { address: ip("fe80::1"), interface: Some("eth0".into()) };
    assert_eq!(peer("peerAddress: 10.0.0.254", "peerAddress: fe80::1\n  interface: eth0").remote, link_local);

    let timers = |text: &str| {
        let peer = more(text);
        (peer.hold_time, peer.keepalive)
    };
    assert_eq!(timers("holdTime: 1m30s"), (seconds(90), None));
    assert_eq!(timers("holdTime: 0s"), (seconds(0), None));
    assert_eq!(timers("keepaliveTime: 5s"), (seconds(15), Some(seconds(5))));
    assert_eq!(timers("holdTime: 9s\n  keepaliveTime: 3s"), (seconds(9), Some(seconds(3))));
    assert_eq!(more("connectTime: 1s").connect_retry, seconds(1));

    assert_eq!(more("enableGracefulRestart: true").graceful_restart, Some(seconds(120)));
    let longer = more("enableGracefulRestart: true\n  gracefulRestartTime: 5m");
    assert_eq!(longer.graceful_restart, Some(seconds(300)));

    let families = |from: &str, to: &str| {
        let families = peer(from, to).families;
        (families.ipv4, families.ipv6)
    };
    assert_eq!(families(spec, "  myASN: 64512\n  disableMP: true\n"), (true, false));
    assert_eq!(families("Address: 10.0.0.254", "Address: fd00::1\n  disableMP: true"), (false, true));
    assert_eq!(families(spec, "  myASN: 64512\n  dualStackAddressFamily: false\n"), (true, false));

    assert!(more("ebgpMultiHop: true").multihop);
    assert!(peer("peerASN: 64513", "peerASN: 64512\n  bfdMultiHop: true").multihop);
    assert_eq!(more("ttlSecurity: 1").ttl_security, Some(1));
    assert!(more("passive: true").passive);
    assert_eq!(more("routerID: 1.2.3.4").router_id, Some([1, 2, 3, 4].into()));
    assert_eq!(more("nextHopV6: fd00::9").next_hop_v6, Some("fd00::9".parse().unwrap()));
    assert_eq!(more("sourceAddress: 10.0.0.1").source, Some(ip("10.0.0.1")));
    assert_eq!(peer("passwordSecret: {name: md5}", "password: words").password.unwrap().bytes(), b"words");
    let base64 = peer("stringData:\n  password: hunter2", "data:\n  password: aHVudGVyMg==");
    assert_eq!(base64.password.unwrap().bytes(), b"hunter2");
}

#[test]
fn communities_are_read_by_number_and_by_name() {
    let attributes = |text: &str| {
        let all = good_announcing(&changed_base("communities: [anycast]", &format!("communities: [{text}]")));
        (*all.bgp["all"].attributes).clone()
    };
    assert_eq!(attributes("no-export, '64512:7'").communities, [0xffff_ff01, 64512 << 16 | 7].into());
    assert_eq!(
        attributes("large:4200000000:1:2").large_communities,
        [LargeCommunity(4_200_000_000, 1, 2)].into()
    );
    let named = good_announcing(&changed_base("value: 64512:100", "value: large:1:2:3"));
    assert_eq!(named.bgp["all"].attributes.large_communities, [LargeCommunity(1, 2, 3)].into());
}

#[test]
fn selectors_mean_what_kubernetes_means() {
    let selectors = |text: &str| {
        let spec = "spec:\n  interfaces: [eth0]";
        good_announcing(&changed_base(spec, &format!("{spec}\n  nodeSelectors: [{text}]"))).l2["lan"]
            .nodes
            .clone()
    };
    let labels = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Labels::from(Some(pairs.collect()))
    };
    let (a, b, none) = (labels(&[("rack", "a"), ("x", "1")]), labels(&[("rack", "b")]), labels(&[]));
    let table = [
        ("", [true, true, true]),
        ("{}", [true, true, true]),
        ("{matchLabels: {rack: a}}", [true, false, false]),
        ("{matchLabels: {rack: a, x: '2'}}", [false, false, false]),
        ("{matchLabels: {rack: a}}, {matchLabels: {rack: b}}", [true, true, false]),
        ("{matchExpressions: [{key: rack, operator: In, values: [b, c]}]}", [false, true, false]),
        ("{matchExpressions: [{key: rack, operator: NotIn, values: [b, c]}]}", [true, false, true]),
        ("{matchExpressions: [{key: rack, operator: Exists}]}", [true, true, false]),
        ("{matchExpressions: [{key: rack, operator: DoesNotExist}]}", [false, false, true]),
        ("{matchLabels: {rack: a}, matchExpressions: [{key: x, operator: DoesNotExist}]}", [false; 3]),
    ];
    for (text, expected) in table {
        let selectors = selectors(text);
        assert_eq!([&a, &b, &none].map(|labels| selectors.matches(labels)), expected, "{text}");
    }
    let one = selectors("{matchLabels: {rack: a}}");
    assert_eq!(one.0[0].0, [Requirement::In("rack".into(), ["a".into()].into())].into());
}

#[test]
fn pools_are_chosen_by_name_or_by_label() {
    let chosen = |text: &str| {
        let all = good_announcing(&changed_base("  ipAddressPools: [web]\n", text));
        all.bgp["all"].pools.contains("web", &all.pools["web"])
    };
    assert!(chosen(""));
    assert!(chosen("  ipAddressPools: [web]\n"));
    assert!(chosen("  ipAddressPoolSelectors: [{matchLabels: {tier: front}}]\n"));
    assert!(!chosen("  ipAddressPoolSelectors: [{matchLabels: {tier: back}}]\n"));
}
