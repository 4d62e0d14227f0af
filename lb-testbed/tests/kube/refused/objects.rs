//! What is good: an object of each kind, and changes of them up to the limits.

use anyhow::{Result, ensure};

pub const NODE: &str = "apiVersion: v1
kind: Node
metadata:
  name: node1
  labels: {trigon.dev/director: \"true\"}
  annotations: {trigon.dev/node-address: 10.0.0.1}
status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}
";
pub const SERVICE: &str = "apiVersion: v1
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
pub const POOL: &str = "apiVersion: trigon.dev/v1alpha1
kind: AddressPool
metadata: {name: web}
spec:
  addresses: [192.0.2.0/24]
";
pub const PEER: &str = "apiVersion: trigon.dev/v1alpha1
kind: BgpPeer
metadata: {name: router1}
spec:
  myASN: 64512
  peerASN: 64513
  peerAddress: 10.0.0.254
  bfdProfile: fast
";
pub const BGP: &str = "apiVersion: trigon.dev/v1alpha1
kind: BgpAdvertisement
metadata: {name: all}
spec:
  ipAddressPools: [web]
  peers: [router1]
";
pub const L2: &str = "apiVersion: trigon.dev/v1alpha1
kind: L2Advertisement
metadata: {name: lan}
spec:
  interfaces: [eth0]
";
pub const PROFILE: &str = "apiVersion: trigon.dev/v1alpha1
kind: BfdProfile
metadata: {name: fast}
spec:
  transmitInterval: 100
";
pub const COMMUNITY: &str = "apiVersion: trigon.dev/v1alpha1
kind: Community
metadata: {name: names}
spec:
  communities: [{name: anycast, value: '64512:100'}]
";
pub const OBJECTS: [&str; 8] = [NODE, SERVICE, POOL, PEER, BGP, L2, PROFILE, COMMUNITY];

/// An object in which the first text is replaced by the second.
pub struct Changed {
    pub object: &'static str,
    pub from: &'static str,
    pub to: &'static str,
}

impl Changed {
    pub fn text(&self) -> Result<String> {
        ensure!(self.object.contains(self.from), "`{}` is not in {}", self.from, self.object);
        Ok(self.object.replacen(self.from, self.to, 1))
    }
}

pub const fn changed(object: &'static str, from: &'static str, to: &'static str) -> Changed {
    Changed { object, from, to }
}

/// What is good, at the limits of what is.
pub const GOOD: &[Changed] = &[
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
