//! What is wrong with objects of our kinds.

use super::{
    objects::{BGP, COMMUNITY, L2, PEER, POOL, PROFILE},
    wrong::{Wrong, wrong},
};

pub const KINDS: &[Wrong] = &[
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
