//! Problems of all kinds but `BgpPeer`.

use super::Row;

pub const POOLS: &[Row] = &[
    (
        "192.0.2.0/24",
        "192.0.2.0/33",
        "13: AddressPool default/web: spec.addresses[0]: `192.0.2.0/33` is neither a prefix nor a range; write a prefix",
        &["web"],
    ),
    (
        "192.0.2.0/24",
        "192.0.2.7/24",
        "13: AddressPool default/web: spec.addresses[0]: 192.0.2.7/24 has bits behind its prefix; write 192.0.2.0/24",
        &["web"],
    ),
    (
        "192.0.2.0/24",
        "192.0.2.9-192.0.2.1",
        "13: AddressPool default/web: spec.addresses[0]: the range is backwards: 192.0.2.9 comes after 192.0.2.1; write 192.0.2.1-192.0.2.9",
        &["web"],
    ),
    (
        "192.0.2.0/24",
        "192.0.2.9-fd00::1",
        "13: AddressPool default/web: spec.addresses[0]: 192.0.2.9 and fd00::1 are of different families; write",
        &["web"],
    ),
    (
        "192.0.2.0/24",
        "192.0.2.9-",
        "13: AddressPool default/web: spec.addresses[0]: `` is not an IP address; write",
        &["web"],
    ),
    (
        "192.0.2.0/24",
        "224.0.0.0/24",
        "13: AddressPool default/web: spec.addresses[0]: 224.0.0.0/24 holds addresses of 224.0.0.0/3, which are no host's; use",
        &["web"],
    ),
    (
        "2001:db8::10-2001:db8::20",
        "192.0.2.1-192.0.2.2",
        "14: AddressPool default/web: spec.addresses[1]: 192.0.2.1-192.0.2.2 overlaps 192.0.2.0/24; remove",
        &["web"],
    ),
    (
        "  - 192.0.2.0/24\n  - 2001:db8::10-2001:db8::20\n",
        "    []\n",
        "12: AddressPool default/web: spec.addresses: is empty; write",
        &["web"],
    ),
    (
        "  addresses:\n",
        "  adresses:\n",
        "11: AddressPool default/web: spec.addresses: is missing; add it; see `kubectl explain addresspool.spec`",
        &["web"],
    ),
    (
        "  addresses:\n",
        "  autoasign: true\n  addresses:\n",
        "12: AddressPool default/web: spec.autoasign: unknown field; did you mean `autoAssign`?",
        &["web"],
    ),
    (
        "  addresses:\n",
        "  serviceAllocation: {namespaces: [a, a]}\n  addresses:\n",
        "12: AddressPool default/web: spec.serviceAllocation.namespaces[1]: `a` is there twice; remove",
        &["web"],
    ),
];

pub const OTHERS: &[Row] = &[
    // BfdProfiles
    (
        "transmitInterval: 100",
        "receiveInterval: 60001",
        "45: BfdProfile default/fast: spec.receiveInterval: 60001 is not an interval in milliseconds; write a number from 10 to 60000",
        &["fast", "router1"],
    ),
    (
        "transmitInterval: 100",
        "detectMultiplier: 1",
        "45: BfdProfile default/fast: spec.detectMultiplier: 1 is not a multiplier; write a number from 2 to 255",
        &["fast", "router1"],
    ),
    (
        "transmitInterval: 100",
        "minimumTtl: 255",
        "45: BfdProfile default/fast: spec.minimumTtl: 255 is not a TTL to ask for; write a number from 1 to 254",
        &["fast", "router1"],
    ),
    (
        "transmitInterval: 100",
        "echoMode: true",
        "45: BfdProfile default/fast: spec.echoMode: echo is not supported; remove",
        &["fast", "router1"],
    ),
    // Communities
    (
        "value: 64512:100",
        "value: 64512:65536",
        "53: Community default/names: spec.communities[0].value: `64512:65536` is not a community; write",
        &["names", "all"],
    ),
    (
        "value: 64512:100",
        "value: large:1:2",
        "53: Community default/names: spec.communities[0].value: `large:1:2` is not a community; write",
        &["names", "all"],
    ),
    (
        "value: 64512:100",
        "value: '+1:2'",
        "53: Community default/names: spec.communities[0].value: `+1:2` is not a community; write",
        &["names", "all"],
    ),
    (
        "    value: 64512:100",
        "    value: 64512:100\n  - {name: anycast, value: '1:1'}",
        "54: Community default/names: spec.communities[1].name: `anycast` is there twice; remove",
        &["names", "all"],
    ),
    // BgpAdvertisements
    (
        "communities: [anycast]",
        "communities: [anycats]",
        "31: BgpAdvertisement default/all: spec.communities[0]: there is no community `anycats`; correct it, or",
        &["all"],
    ),
    (
        "communities: [anycast]",
        "communities: ['1:2:3']",
        "31: BgpAdvertisement default/all: spec.communities[0]: `1:2:3` is not a community; write",
        &["all"],
    ),
    (
        "communities: [anycast]",
        "communities: [anycast, anycast]",
        "31: BgpAdvertisement default/all: spec.communities[1]: `anycast` is there twice; remove",
        &["all"],
    ),
    (
        "localPref: 100",
        "aggregationLength: 33",
        "30: BgpAdvertisement default/all: spec.aggregationLength: 33 is not a prefix length to announce; write a number from 1 to 32",
        &["all"],
    ),
    (
        "localPref: 100",
        "aggregationLengthV6: 0",
        "30: BgpAdvertisement default/all: spec.aggregationLengthV6: 0 is not a prefix length to announce; write a number from 1 to 128",
        &["all"],
    ),
    (
        "localPref: 100",
        "prepend: 11",
        "30: BgpAdvertisement default/all: spec.prepend: 11 is not a number of times; write a number from 0 to 10",
        &["all"],
    ),
    (
        "localPref: 100",
        "aggregationLength: 24\n  serviceSelectors: [{matchLabels: {a: b}}]",
        "30: BgpAdvertisement default/all: spec.aggregationLength: there are serviceSelectors, and a prefix holds VIPs of other Services, too; remove",
        &["all"],
    ),
    (
        "peers: [router1]",
        "peers: [router1, router1]",
        "33: BgpAdvertisement default/all: spec.peers[1]: `router1` is there twice; remove",
        &["all"],
    ),
    // L2Advertisements
    (
        "interfaces: [eth0]",
        "interfaces: [a-very-long-name]",
        "39: L2Advertisement default/lan: spec.interfaces[0]: `a-very-long-name` is not the name of an interface; write",
        &["lan"],
    ),
    (
        "interfaces: [eth0]",
        "interfaces: [eth0, eth0]",
        "39: L2Advertisement default/lan: spec.interfaces[1]: `eth0` is there twice; remove",
        &["lan"],
    ),
    (
        "interfaces: [eth0]",
        "interface: [eth0]",
        "39: L2Advertisement default/lan: spec.interface: unknown field; did you mean `interfaces`?",
        &["lan"],
    ),
];

/// Problems that leave out only a part: the object itself is used.
pub const PARTIAL: &[Row] = &[
    (
        "peers: [router1]",
        "peers: [router1, router2]",
        "33: BgpAdvertisement default/all: spec.peers[1]: there is no BgpPeer `router2`; correct the name (there are: router1), or add the BgpPeer",
        &[],
    ),
    (
        "ipAddressPools: [web]",
        "ipAddressPools: [wbe]",
        "32: BgpAdvertisement default/all: spec.ipAddressPools[0]: there is no AddressPool `wbe`; correct the name (there are: web)",
        &[],
    ),
    (
        "interfaces: [eth0]",
        "ipAddressPools: [x]",
        "39: L2Advertisement default/lan: spec.ipAddressPools[0]: there is no AddressPool `x`; correct",
        &[],
    ),
    (
        "localPref: 100",
        "aggregationLength: 23",
        "30: BgpAdvertisement default/all: spec.aggregationLength: a prefix of length 23 goes beyond 192.0.2.0/24 of AddressPool `web`: VIPs in one that does are left out; write 24 or more",
        &[],
    ),
    (
        "localPref: 100",
        "aggregationLengthV6: 64",
        "30: BgpAdvertisement default/all: spec.aggregationLengthV6: a prefix of length 64 goes beyond 2001:db8::10-2001:db8::20 of AddressPool `web`: VIPs in one that does are left out; write 128 or more",
        &[],
    ),
];
