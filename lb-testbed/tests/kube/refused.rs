//! What is wrong with an object an API server says by itself, by the schemas of our kinds and by the policies of the
//! manifests, as far as it can. Whatever it refuses, `trigon check` refuses too, with the same words where they are ours.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use lb_testbed::{
    Config, Testbed,
    kubernetes::{ApiServer, Programs},
};
use lb_userspace::objects::{
    index::Index,
    source::{Change, file::read_dir},
    translate::TranslateConfig,
};

use super::{PATIENCE, common::wait_at_most};

const NODE: &str = "apiVersion: v1
kind: Node
metadata:
  name: node1
  labels: {trigon.dev/director: \"true\"}
  annotations: {trigon.dev/node-address: 10.0.0.1}
status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}
";
const SERVICE: &str = "apiVersion: v1
kind: Service
metadata:
  name: web
  annotations:
    trigon.dev/dsr: \"true\"
    trigon.dev/delivery: auto
spec:
  type: LoadBalancer
  loadBalancerClass: trigon.dev/lb
  ports:
  - {name: http, port: 80, protocol: TCP}
";
const POOL: &str = "apiVersion: trigon.dev/v1alpha1
kind: AddressPool
metadata: {name: web}
spec:
  addresses: [192.0.2.0/24]
";
const PEER: &str = "apiVersion: trigon.dev/v1alpha1
kind: BgpPeer
metadata: {name: router1}
spec:
  myASN: 64512
  peerASN: 64513
  peerAddress: 10.0.0.254
  bfdProfile: fast
";
const BGP: &str = "apiVersion: trigon.dev/v1alpha1
kind: BgpAdvertisement
metadata: {name: all}
spec:
  ipAddressPools: [web]
  peers: [router1]
";
const L2: &str = "apiVersion: trigon.dev/v1alpha1
kind: L2Advertisement
metadata: {name: lan}
spec:
  interfaces: [eth0]
";
const PROFILE: &str = "apiVersion: trigon.dev/v1alpha1
kind: BfdProfile
metadata: {name: fast}
spec:
  transmitInterval: 100
";
const COMMUNITY: &str = "apiVersion: trigon.dev/v1alpha1
kind: Community
metadata: {name: names}
spec:
  communities: [{name: anycast, value: '64512:100'}]
";
const OBJECTS: [&str; 8] = [NODE, SERVICE, POOL, PEER, BGP, L2, PROFILE, COMMUNITY];

/// An object in which the first text is replaced by the second.
struct Changed {
    object: &'static str,
    from: &'static str,
    to: &'static str,
}

impl Changed {
    fn text(&self) -> Result<String> {
        ensure!(self.object.contains(self.from), "`{}` is not in {}", self.from, self.object);
        Ok(self.object.replacen(self.from, self.to, 1))
    }
}

struct Wrong {
    changed: Changed,
    field: &'static str,
    /// What the API server says of the field.
    told: &'static str,
    /// What `trigon check` says of it.
    checked: &'static str,
}

/// Both say the same.
const fn wrong(
    object: &'static str,
    from: &'static str,
    to: &'static str,
    field: &'static str,
    told: &'static str,
) -> Wrong {
    Wrong { changed: Changed { object, from, to }, field, told, checked: told }
}

impl Wrong {
    /// The API server has words of its own for it.
    const fn but_checked(self, checked: &'static str) -> Self {
        Self { checked, ..self }
    }
}

const SERVICES: &[Wrong] = &[
    wrong(
        SERVICE,
        "dsr: \"true\"",
        "dsr: \"yes\"",
        "metadata.annotations[trigon.dev/dsr]",
        "`yes` is not a value of it; write one of `true`, `false`",
    ),
    wrong(
        SERVICE,
        "delivery: auto",
        "delivery: gre",
        "metadata.annotations[trigon.dev/delivery]",
        "`gre` is not a value of it; write one of `auto`, `l2`, `ipip`, `gue`",
    ),
    wrong(
        SERVICE,
        "delivery: auto",
        "backends: pods",
        "metadata.annotations[trigon.dev/backends]",
        "`pods` is not a value of it; write `bare`, or remove the annotation",
    ),
    wrong(
        SERVICE,
        "delivery: auto",
        "health-check: tcp",
        "metadata.annotations[trigon.dev/health-check]",
        "only bare servers are checked; nodes are probed; remove it, or write trigon.dev/backends: bare",
    ),
    wrong(
        SERVICE,
        "delivery: auto",
        "backends: bare\n    trigon.dev/health-check: https:/live",
        "metadata.annotations[trigon.dev/health-check]",
        "`https:/live` is not a value of it; write one of `tcp`, `http:/PATH`, `icmp`, `none`",
    ),
    wrong(
        SERVICE,
        "delivery: auto",
        "backends: bare\n    trigon.dev/health-check: http:live",
        "metadata.annotations[trigon.dev/health-check]",
        "`live` is not a path that can be asked for; write http:/PATH, of visible ASCII characters, at most 1024",
    ),
    wrong(
        SERVICE,
        "delivery: auto",
        "backends: bare\n    trigon.dev/health-check: 'http:/a b'",
        "metadata.annotations[trigon.dev/health-check]",
        "`/a b` is not a path that can be asked for; write http:/PATH",
    ),
    wrong(
        SERVICE,
        "delivery: auto\nspec:\n  type: LoadBalancer\n  loadBalancerClass: trigon.dev/lb\n  ports:\n  - {name: http, port: 80, protocol: TCP}",
        "backends: bare\n    trigon.dev/health-check: tcp\nspec:\n  type: LoadBalancer\n  loadBalancerClass: trigon.dev/lb\n  ports:\n  - {name: dns, port: 53, protocol: UDP}",
        "metadata.annotations[trigon.dev/health-check]",
        "`tcp` asks none of its ports: they are all UDP; write icmp, or none",
    ),
    wrong(
        SERVICE,
        "trigon.dev/delivery: auto",
        "trigon.dev/new-flows-per-second: \"0\"",
        "metadata.annotations[trigon.dev/new-flows-per-second]",
        "`0` is not a number of flows; write a number from 1 to 4294967295, or remove the annotation",
    ),
    wrong(
        SERVICE,
        "trigon.dev/delivery: auto",
        "trigon.dev/new-flows-per-second: \"4294967296\"",
        "metadata.annotations[trigon.dev/new-flows-per-second]",
        "`4294967296` is not a number of flows; write a number from 1 to 4294967295",
    ),
    wrong(
        SERVICE,
        "trigon.dev/delivery: auto",
        "trigon.dev/new-flows-per-second: many",
        "metadata.annotations[trigon.dev/new-flows-per-second]",
        "`many` is not a number of flows; write",
    ),
];

/// What the controller refuses: to agents, and to `trigon check`, only addresses that a Service has matter.
const REQUESTS: &[(Changed, &str)] = &[
    (
        Changed {
            object: SERVICE,
            from: "trigon.dev/delivery: auto",
            to: "trigon.dev/load-balancer-ips: web.example",
        },
        "metadata.annotations[trigon.dev/load-balancer-ips]: `web.example` is not an IP address; write an address such as",
    ),
    (
        Changed {
            object: SERVICE,
            from: "trigon.dev/delivery: auto",
            to: "trigon.dev/load-balancer-ips: 192.0.2.1, 192.0.2.2",
        },
        "name at most one IPv4 and one IPv6 address",
    ),
];

const NODES: &[Wrong] = &[
    wrong(
        NODE,
        "director: \"true\"",
        "director: maybe",
        "metadata.labels[trigon.dev/director]",
        "`maybe` is not a value of this label; write \"true\", or remove the label",
    ),
    wrong(
        NODE,
        "node-address: 10.0.0.1",
        "node-address: ''",
        "metadata.annotations[trigon.dev/node-address]",
        "`` is not an IP address; write an address such as 192.0.2.10 or 2001:db8::10",
    ),
    wrong(
        NODE,
        "node-address: 10.0.0.1",
        "node-address: node1.example",
        "metadata.annotations[trigon.dev/node-address]",
        "`node1.example` is not an IP address; write an address such as",
    ),
    wrong(
        NODE,
        "node-address: 10.0.0.1",
        "node-address: '10.0.0.1,10.0.0.2'",
        "metadata.annotations[trigon.dev/node-address]",
        "name at most one IPv4 and one IPv6 address",
    ),
];

const KINDS: &[Wrong] = &[
    // AddressPools
    wrong(POOL, "[192.0.2.0/24]", "[]", "spec.addresses", "should have at least 1 items")
        .but_checked("is empty; write prefixes"),
    wrong(
        POOL,
        "192.0.2.0/24",
        "web.example",
        "spec.addresses[0]",
        "is neither a prefix nor a range; write a prefix such as 192.0.2.0/24, or a range such as",
    ),
    wrong(
        POOL,
        "192.0.2.0/24",
        "192.0.2.9-",
        "spec.addresses[0]",
        "write a prefix such as 192.0.2.0/24, or a range such as 192.0.2.10-192.0.2.20",
    ),
    wrong(POOL, "192.0.2.0/24", "192.0.2.0/24, 192.0.2.0/24", "spec.addresses[1]", "Duplicate value")
        .but_checked("192.0.2.0/24 overlaps 192.0.2.0/24; remove"),
    wrong(
        POOL,
        "spec:\n",
        "spec:\n  serviceAllocation: {namespaces: [a, a]}\n",
        "spec.serviceAllocation.namespaces[1]",
        "Duplicate value",
    )
    .but_checked("`a` is there twice; remove"),
    wrong(POOL, "  addresses: [192.0.2.0/24]", "  autoAssign: true", "spec.addresses", "Required value")
        .but_checked("is missing; add it"),
    // BgpPeers
    wrong(PEER, "myASN: 64512", "myASN: 0", "spec.myASN", "is no AS; write the number of the AS"),
    wrong(PEER, "myASN: 64512", "myASN: 23456", "spec.myASN", "write the number of the AS; private ones are"),
    wrong(PEER, "peerASN: 64513", "peerASN: 4294967295", "spec.peerASN", "write the number of the AS"),
    wrong(
        PEER,
        "peerASN: 64513",
        "peerASN: 64513\n  dynamicASN: external",
        "spec.dynamicASN",
        "there is a peerASN, too; remove one of the two",
    ),
    wrong(
        PEER,
        "  peerASN: 64513\n",
        "",
        "spec.peerASN",
        "is missing, as is dynamicASN; write the peer's AS, or dynamicASN: internal or external",
    ),
    wrong(PEER, "peerASN: 64513", "dynamicASN: any", "spec.dynamicASN", "\"internal\"")
        .but_checked("expected `internal` or `external`"),
    wrong(
        PEER,
        "  peerAddress: 10.0.0.254\n",
        "",
        "spec.peerAddress",
        "is missing, as is interface; write the peer's address, or the interface that it is found on",
    ),
    wrong(
        PEER,
        "peerAddress: 10.0.0.254",
        "peerAddress: 10.0.0.254\n  interface: eth0",
        "spec.interface",
        "there is a peerAddress, too; remove one of the two; only a link-local address needs an interface",
    ),
    wrong(
        PEER,
        "peerAddress: 10.0.0.254",
        "peerAddress: fe80::1",
        "spec.peerAddress",
        "is a link-local address: on which link?; add the interface",
    ),
    wrong(
        PEER,
        "peerAddress: 10.0.0.254",
        "peerAddress: router",
        "spec.peerAddress",
        "is not an IP address; write an address such as 192.0.2.10 or 2001:db8::10",
    ),
    wrong(
        PEER,
        "peerAddress: 10.0.0.254",
        "interface: a/b",
        "spec.interface",
        "is not the name of an interface; write one such as eth0, of at most 15 characters",
    ),
    wrong(PEER, "  myASN", "  peerPort: 0\n  myASN", "spec.peerPort", "should be greater than or equal to 1")
        .but_checked("write a number from 1 to 65535"),
    wrong(
        PEER,
        "  myASN",
        "  sourceAddress: fd00::1\n  myASN",
        "spec.sourceAddress",
        "unlike the peer's address; write an",
    )
    .but_checked("fd00::1 is IPv6, unlike the peer's address; write an IPv4 address"),
    wrong(
        PEER,
        "  myASN",
        "  routerID: 0.0.0.0\n  myASN",
        "spec.routerID",
        "is not a router id; write it as an IPv4 address that is not 0.0.0.0, or leave it out",
    ),
    wrong(
        PEER,
        "  myASN",
        "  holdTime: 2s\n  myASN",
        "spec.holdTime",
        "is less than 3s (RFC 4271, 4.2); write 3s or more, or 0s for a session that is never given up",
    ),
    wrong(
        PEER,
        "  myASN",
        "  holdTime: 20h\n  myASN",
        "spec.holdTime",
        "is not a time in whole seconds that it may have; write 0s to 65535s",
    ),
    wrong(
        PEER,
        "  myASN",
        "  holdTime: long\n  myASN",
        "spec.holdTime",
        "is not a duration such as 90s or 1m30s",
    ),
    wrong(
        PEER,
        "  myASN",
        "  keepaliveTime: 100s\n  holdTime: 90s\n  myASN",
        "spec.keepaliveTime",
        "is longer than the hold time",
    ),
    wrong(
        PEER,
        "  myASN",
        "  connectTime: 0s\n  myASN",
        "spec.connectTime",
        "is not a time in whole seconds that it may have; write 1s to 65535s",
    ),
    wrong(
        PEER,
        "  myASN",
        "  gracefulRestartTime: 9s\n  myASN",
        "spec.gracefulRestartTime",
        "has no effect without enableGracefulRestart; add enableGracefulRestart: true, or remove it",
    ),
    wrong(
        PEER,
        "  myASN",
        "  password: ''\n  myASN",
        "spec.password",
        "use one of 1 to 80 bytes, here and on the router",
    ),
    wrong(
        PEER,
        "  myASN",
        "  password: 01234567890123456789012345678901234567890123456789012345678901234567890123456789x\n  myASN",
        "spec.password",
        "use one of 1 to 80 bytes, here and on the router",
    ),
    wrong(
        PEER,
        "  myASN",
        "  password: a\n  passwordSecret: {name: md5}\n  myASN",
        "spec.passwordSecret",
        "there is a password, too; remove one of the two",
    ),
    wrong(
        PEER,
        "peerASN: 64513",
        "peerASN: 64512\n  ebgpMultiHop: true",
        "spec.ebgpMultiHop",
        "the peer is of the same AS; remove it: a peer of the own AS may be anywhere",
    ),
    wrong(
        PEER,
        "peerASN: 64513",
        "dynamicASN: internal\n  ebgpMultiHop: true",
        "spec.ebgpMultiHop",
        "the peer is of the same AS; remove it",
    ),
    wrong(
        PEER,
        "  myASN",
        "  bfdMultiHop: true\n  myASN",
        "spec.bfdMultiHop",
        "the peer is not known to be of the same AS; remove it: ebgpMultiHop says that of peers of other ASes",
    ),
    wrong(
        PEER,
        "peerASN: 64513\n  peerAddress: 10.0.0.254\n  bfdProfile: fast",
        "peerASN: 64512\n  peerAddress: 10.0.0.254\n  bfdMultiHop: true",
        "spec.bfdMultiHop",
        "has no effect without bfdProfile; add a bfdProfile, or remove it",
    ),
    wrong(
        PEER,
        "  myASN",
        "  ttlSecurity: 255\n  myASN",
        "spec.ttlSecurity",
        "should be less than or equal to 254",
    )
    .but_checked("write a number from 1 to 254"),
    wrong(
        PEER,
        "  myASN",
        "  ttlSecurity: 2\n  ebgpMultiHop: true\n  myASN",
        "spec.ttlSecurity",
        "there is ebgpMultiHop, too; remove ebgpMultiHop: ttlSecurity says how far away the peer may be",
    ),
    wrong(
        PEER,
        "  myASN",
        "  disableMP: true\n  dualStackAddressFamily: true\n  myASN",
        "spec.disableMP",
        "there is dualStackAddressFamily, too; remove one of the two",
    ),
    wrong(
        PEER,
        "  myASN",
        "  nextHopV4: fd00::1\n  myASN",
        "spec.nextHopV4",
        "is not a next hop; write an address of this field's family by which routers reach the node",
    ),
    wrong(
        PEER,
        "  myASN",
        "  nextHopV6: 10.0.0.1\n  myASN",
        "spec.nextHopV6",
        "is not a next hop; write an address of this field's family by which routers reach the node",
    ),
    // BgpAdvertisements
    wrong(
        BGP,
        "spec:\n",
        "spec:\n  aggregationLength: 33\n",
        "spec.aggregationLength",
        "should be less than or equal to 32",
    )
    .but_checked("write a number from 1 to 32"),
    wrong(
        BGP,
        "spec:\n",
        "spec:\n  aggregationLengthV6: 0\n",
        "spec.aggregationLengthV6",
        "should be greater than or equal to 1",
    )
    .but_checked("write a number from 1 to 128"),
    wrong(BGP, "spec:\n", "spec:\n  prepend: 11\n", "spec.prepend", "should be less than or equal to 10")
        .but_checked("write a number from 0 to 10"),
    wrong(BGP, "[router1]", "[router1, router1]", "spec.peers[1]", "Duplicate value")
        .but_checked("`router1` is there twice; remove"),
    wrong(
        BGP,
        "spec:\n",
        "spec:\n  communities: [no-export, no-export]\n",
        "spec.communities[1]",
        "Duplicate value",
    )
    .but_checked("`no-export` is there twice; remove"),
    // L2Advertisements
    wrong(
        L2,
        "[eth0]",
        "[eth0, a/b]",
        "spec.interfaces[1]",
        "is not the name of an interface; write one such as eth0, of at most 15 characters",
    ),
    wrong(L2, "[eth0]", "[eth0, eth0]", "spec.interfaces[1]", "Duplicate value")
        .but_checked("`eth0` is there twice; remove"),
    // BfdProfiles
    wrong(
        PROFILE,
        "transmitInterval: 100",
        "transmitInterval: 9",
        "spec.transmitInterval",
        "should be greater than or equal to 10",
    )
    .but_checked("write a number from 10 to 60000"),
    wrong(
        PROFILE,
        "transmitInterval: 100",
        "detectMultiplier: 1",
        "spec.detectMultiplier",
        "should be greater than or equal to 2",
    )
    .but_checked("write a number from 2 to 255"),
    wrong(
        PROFILE,
        "transmitInterval: 100",
        "echoMode: true",
        "spec.echoMode",
        "echo is not supported; remove it, and set the intervals as short as they need be",
    ),
    // Communities
    wrong(
        COMMUNITY,
        "'64512:100'",
        "'large:1:2'",
        "spec.communities[0].value",
        "is not a community; write two numbers up to 65535 (65000:100), or three up to 4294967295 (large:65000:1:2)",
    ),
    wrong(
        COMMUNITY,
        "name: anycast",
        "name: ''",
        "spec.communities[0].name",
        "should be at least 1 chars long",
    )
    .but_checked("is empty; write the name that advertisements are to use"),
    wrong(
        COMMUNITY,
        "'64512:100'}",
        "'64512:100'}, {name: anycast, value: '1:1'}",
        "spec.communities[1]",
        "Duplicate value",
    )
    .but_checked("`anycast` is there twice; remove"),
];

const fn changed(object: &'static str, from: &'static str, to: &'static str) -> Changed {
    Changed { object, from, to }
}

/// What is good, at the limits of what is.
const GOOD: &[Changed] = &[
    changed(SERVICE, "dsr: \"true\"", "dsr: \"false\""),
    changed(SERVICE, "delivery: auto", "backends: bare\n    trigon.dev/health-check: 'http:/live?x=1'"),
    changed(SERVICE, "delivery: auto", "new-flows-per-second: \"4294967295\""),
    changed(SERVICE, "delivery: auto", "load-balancer-ips: '192.0.2.10, 2001:db8::10'"),
    changed(SERVICE, "delivery: auto", "load-balancer-ips: ''"),
    changed(SERVICE, "delivery: auto", "allow-shared-ip: any words"),
    // Not ours: nobody looks at it.
    changed(SERVICE, "loadBalancerClass: trigon.dev/lb", "loadBalancerClass: example.com/other"),
    changed(POOL, "192.0.2.0/24", "' 192.0.2.1 - 192.0.2.9 ', '2001:db8::/64', 'fd00::1-fd00::ffff'"),
    changed(PEER, "peerASN: 64513", "dynamicASN: internal\n  peerASN: null"),
    changed(PEER, "peerAddress: 10.0.0.254", "interface: eth0.5"),
    changed(PEER, "peerAddress: 10.0.0.254", "peerAddress: FE80::1\n  interface: eth0"),
    changed(PEER, "  myASN", "  holdTime: 1m30s\n  keepaliveTime: 30s\n  connectTime: 65535s\n  myASN"),
    changed(PEER, "  myASN", "  holdTime: '0'\n  keepaliveTime: 0s\n  myASN"),
    changed(PEER, "  myASN", "  enableGracefulRestart: true\n  gracefulRestartTime: 4095s\n  myASN"),
    changed(PEER, "peerASN: 64513", "peerASN: 64512\n  bfdMultiHop: true\n  ebgpMultiHop: false"),
    changed(PEER, "  myASN", "  ttlSecurity: 254\n  routerID: 0.0.0.1\n  peerPort: 65535\n  myASN"),
    changed(
        PEER,
        "  myASN",
        "  disableMP: true\n  nextHopV6: '::ffff'\n  nextHopV4: 10.0.0.9\n  password: a b\n  myASN",
    ),
    changed(
        BGP,
        "spec:\n",
        "spec:\n  prepend: 10\n  localPref: 4294967295\n  med: 0\n  communities: ['1:1', no-peer]\n",
    ),
    changed(L2, "[eth0]", "[eth0, br-lan.4094, abcdefghijklmno]"),
    changed(
        PROFILE,
        "transmitInterval: 100",
        "transmitInterval: 60000\n  detectMultiplier: 255\n  echoMode: false",
    ),
    changed(COMMUNITY, "'64512:100'", "'large:4294967295:0:1'"),
];

#[test]
fn what_is_wrong_is_refused_and_nothing_else() -> Result<()> {
    with_api_server(|api_server, dir| {
        write_objects(dir)?;
        check(dir)?;
        for wrong in SERVICES.iter().chain(KINDS).chain(NODES) {
            let text = wrong.changed.text()?;
            expect_refused(api_server, &text, &[wrong.field, wrong.told])?;
            expect_found(dir, &text, &[wrong.field, wrong.checked])?;
        }
        for (changed, told) in REQUESTS {
            expect_refused(api_server, &changed.text()?, &[told])?;
        }
        for good in GOOD {
            let text = good.text()?;
            let refused = |by: &str| format!("{by} refuses what is good:\n{text}");
            create(api_server, &text).with_context(|| refused("the API server"))?;
            with_object(dir, &text, check).with_context(|| refused("`trigon check`"))?;
        }
        let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/examples");
        let apply = ["apply", "--dry-run=server", "--warnings-as-errors", "-f", examples];
        api_server.kubectl(&apply, "").map(drop)
    })
}

#[test]
fn unknown_annotations_are_warned_of() -> Result<()> {
    with_api_server(|api_server, _| {
        let table = [
            (
                changed(SERVICE, "trigon.dev/delivery", "trigon.dev/delivry"),
                "metadata.annotations[trigon.dev/delivry]: unknown annotation; use one of trigon.dev/dsr, ",
            ),
            (
                changed(NODE, "trigon.dev/node-address", "trigon.dev/adress"),
                "metadata.annotations[trigon.dev/adress]: unknown annotation; use one of trigon.dev/node-address, or",
            ),
        ];
        for (changed, warned) in table {
            let text = changed.text()?;
            wait_at_most(PATIENCE, "a warning", || {
                let Err(error) = create(api_server, &text) else { return Ok(false) };
                ensure!(format!("{error:#}").contains(warned), "{error:#}");
                Ok(true)
            })?;
            api_server.kubectl(&["create", "--dry-run=server", "-f", "-"], &text)?;
        }
        Ok(())
    })
}

/// Somebody else's change of it, or a correction, must not be held up by what was there before.
#[test]
fn what_was_wrong_before_can_still_be_changed() -> Result<()> {
    with_api_server(|api_server, _| {
        let service = SERVICE.replace("delivery: auto", "delivery: gre");
        let node = NODE.replace("director: \"true\"", "director: maybe");
        api_server.remove_policies()?;
        for text in [&service, &node] {
            wait_at_most(PATIENCE, "a wrong object is taken", || {
                api_server.kubectl(&["create", "-f", "-"], text).map(|_| true)
            })?;
        }
        api_server.apply_manifests()?;
        wait_for_policies(api_server)?;
        for object in ["service/web", "node/node1"] {
            for words in [["annotate", object, "example.com/note=other"], ["label", object, "example=other"]]
            {
                api_server.kubectl(&words, "").with_context(|| words.join(" "))?;
            }
        }
        let again =
            api_server.kubectl(&["annotate", "--overwrite", "service/web", "trigon.dev/delivery=pigeon"], "");
        let told = again.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(told.contains("`pigeon` is not a value of it"), "{told}");
        api_server.kubectl(&["annotate", "--overwrite", "service/web", "trigon.dev/delivery=gue"], "")?;
        api_server.kubectl(&["label", "--overwrite", "node/node1", "trigon.dev/director=true"], "").map(drop)
    })
}

/// One in which the policies are in effect, and a directory.
fn with_api_server(test: impl FnOnce(&ApiServer, &Path) -> Result<()>) -> Result<()> {
    let Some(programs) = Programs::find_or_skip()? else { return Ok(()) };
    let config = Config { directors: 1, nodes: 1, pods_per_node: 1, clients: 1, ..Config::l3() };
    let testbed = Testbed::new(config)?;
    let api_server = ApiServer::start(&testbed, programs)?;
    wait_for_policies(&api_server)?;
    let dir = testbed.dir().join("checked");
    fs::create_dir(&dir)?;
    test(&api_server, &dir)
}

/// An API server hears of its policies some time after they were written.
fn wait_for_policies(api_server: &ApiServer) -> Result<()> {
    let wrong = SERVICE.replace("name: web", "name: probe").replace("dsr: \"true\"", "dsr: \"yes\"");
    wait_at_most(
        PATIENCE,
        "the policy of Services is in effect",
        || Ok(create(api_server, &wrong).is_err()),
    )?;
    let probe = NODE.replace("name: node1", "name: probe");
    api_server.kubectl(&["create", "-f", "-"], &probe)?;
    let wrong = probe.replace("director: \"true\"", "director: maybe");
    wait_at_most(PATIENCE, "the policy of Nodes is in effect", || Ok(replace(api_server, &wrong).is_err()))?;
    api_server.kubectl(&["delete", "node", "probe"], "").map(drop)
}

fn create(api_server: &ApiServer, text: &str) -> Result<()> {
    let words = ["create", "--dry-run=server", "--warnings-as-errors", "-f", "-"];
    api_server.kubectl(&words, text).map(drop)
}

fn replace(api_server: &ApiServer, text: &str) -> Result<()> {
    api_server.kubectl(&["replace", "--dry-run=server", "-f", "-"], text).map(drop)
}

/// As a new object; a Node as a change of one that is there.
fn expect_refused(api_server: &ApiServer, text: &str, parts: &[&str]) -> Result<()> {
    let told = if text.contains("kind: Node") {
        api_server.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], NODE)?;
        replace(api_server, text)
    } else {
        create(api_server, text)
    };
    let Err(error) = told else { bail!("the API server takes it:\n{text}") };
    let told = format!("{error:#}");
    println!("{}", told.lines().next().unwrap_or_default());
    ensure!(parts.iter().all(|part| told.contains(part)), "{parts:?} are not in what it says: {told}");
    Ok(())
}

/// `trigon check` finds it, too.
fn expect_found(dir: &Path, text: &str, parts: &[&str]) -> Result<()> {
    let Err(error) = with_object(dir, text, check) else { bail!("`trigon check` takes it:\n{text}") };
    let told = format!("{error:#}");
    let is_told = told.lines().any(|line| parts.iter().all(|part| line.contains(part)));
    ensure!(is_told, "{parts:?} are in no line of `trigon check`: {told}");
    Ok(())
}

/// One file for each object.
fn write_objects(dir: &Path) -> Result<()> {
    OBJECTS.iter().try_for_each(|text| Ok(fs::write(dir.join(file_name(text)?), text)?))
}

/// With this one in place of the object of its kind.
fn with_object(dir: &Path, text: &str, act: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let path = dir.join(file_name(text)?);
    let before = fs::read_to_string(&path)?;
    fs::write(&path, text)?;
    let outcome = act(dir);
    fs::write(&path, before)?;
    outcome
}

fn file_name(text: &str) -> Result<String> {
    let kind = text.lines().find_map(|line| line.strip_prefix("kind: ")).context("an object has a kind")?;
    Ok(format!("{kind}.yaml"))
}

/// What `trigon check` reports as problems is an error.
fn check(dir: &Path) -> Result<()> {
    let problems = match read_dir(dir) {
        Err(problems) => problems,
        Ok(listing) => {
            let mut index = Index::new(TranslateConfig::default());
            index.apply_changes(listing.objects.into_iter().map(Change::from).collect());
            index.cluster();
            [listing.refused, index.refused(), index.faults()].concat()
        }
    };
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    ensure!(lines.is_empty(), "{}", lines.join("\n"));
    Ok(())
}
