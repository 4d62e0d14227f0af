//! `neigh::follow` against the kernel: two network namespaces joined by a veth
//! pair, `a` with the follower and `b` its neighbour. Needs root.

#![allow(clippy::unwrap_used)]

mod rig;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use lb_userspace::neigh::{LinkFault, Reach, find_uplinks};
use rig::*;

#[test]
fn uplinks_are_found_by_the_default_routes() {
    let site = Site::new();
    let find =
        || site.a.within(|| Ok(runtime().block_on(find_uplinks()).map_err(|e| e.to_string()))).unwrap();
    assert_eq!(find(), Err("there is no default route".to_owned()));
    site.in_a("route add default via 192.0.2.2 metric 100");
    site.in_a("-6 route add default via 2001:db8::2");
    site.in_a("link add spare type veth peer name other");
    site.in_a("link set spare up");
    site.in_a("route add default dev spare metric 200");
    assert_eq!(find(), Ok(vec!["a0".to_owned()]));
    site.in_a("route del default metric 100");
    assert_eq!(find(), Ok(vec!["a0".to_owned(), "spare".to_owned()]));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Also if no target is reached by it.
#[test]
fn an_uplink_that_carries_nothing_is_told_of() {
    let site = Site::new();
    let mut follower = Follower::new(&site, &[]);
    follower.wait_for_uplink(None);
    site.in_b("link set b0 down");
    follower.wait_for_uplink(Some(LinkFault::NoCarrier));
    site.in_b("link set b0 up");
    follower.wait_for_uplink(None);
    site.in_a("link set a0 down");
    follower.wait_for_uplink(Some(LinkFault::Down));
    site.in_a("link del a0");
    follower.wait_for_uplink(Some(LinkFault::Gone));
    follower.stop();
}

/// Clients behind what stands on it are outside: a bridge that it is a port of, VLAN devices of either,
/// where the kernel has such.
#[test]
fn what_stands_on_an_uplink_is_told_of() {
    let site = Site::new();
    let mut follower = Follower::new(&site, &[]);
    let mut uplinks = BTreeSet::from([site.index_of("a0")]);
    follower.wait_for_uplinks(&uplinks);
    site.in_a("link add pods type bridge");
    site.in_a("link add br0 type bridge");
    site.in_a("link set a0 master br0");
    uplinks.insert(site.index_of("br0"));
    follower.wait_for_uplinks(&uplinks);
    if site.a.ip("link add link br0 name br0.7 type vlan id 7").is_ok() {
        site.in_a("link add link pods name pods.7 type vlan id 7");
        let vlan = BTreeSet::from([site.index_of("br0.7")]);
        follower.wait_for_uplinks(&(&uplinks | &vlan));
        site.in_a("link del br0.7");
        follower.wait_for_uplinks(&uplinks);
    } else {
        println!("left out, this kernel has no VLAN devices");
    }
    site.in_a("link set a0 nomaster");
    follower.wait_for_uplinks(&[site.index_of("a0")].into());
    follower.stop();
}

#[test]
fn neighbours_gateways_and_own_addresses_are_resolved() {
    let site = Site::new();
    let routes = site.a.ip_batch(
        "route add 198.51.100.0/24 via 192.0.2.2
         route add 2001:db8:1::/64 via 2001:db8::2
         route add 203.0.113.0/25 via inet6 2001:db8::2
         route add blackhole 203.0.113.129
         route add prohibit 203.0.113.130
         route add unreachable 203.0.113.131
         route add blackhole 2001:db8:2::/64",
    );
    routes.unwrap();
    let resolved = [
        ("192.0.2.2", None, "192.0.2.1"),
        ("2001:db8::2", None, "2001:db8::1"),
        ("198.51.100.1", Some("192.0.2.2"), "192.0.2.1"),
        ("2001:db8:1::1", Some("2001:db8::2"), "2001:db8::1"),
        ("203.0.113.1", Some("2001:db8::2"), "192.0.2.1"),
    ];
    let dead_ends = [
        ("203.0.113.129", "blackhole"),
        ("203.0.113.130", "prohibit"),
        ("203.0.113.131", "unreachable"),
        ("203.0.113.132", "no route"),
        ("2001:db8:2::1", "blackhole"),
        ("2001:db8:3::1", "no route"),
        ("192.0.2.255", "broadcast"),
    ];
    let own = ["192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"];
    let silent = ["192.0.2.77", "2001:db8::77"];
    let targets = [&resolved.map(|row| row.0)[..], &dead_ends.map(|row| row.0), &own, &silent].concat();
    let mut follower = Follower::new(&site, &targets);
    follower.wait_until_all("five neighbours resolved after the start", SOON, |map| {
        resolved.iter().all(|row| map.get(&ip(row.0)).is_some_and(has_mac(PEER)))
    });
    for (target, gateway, source) in resolved {
        let next = follower.next_hop_of(target);
        assert_eq!(next.gateway, gateway.map(ip), "{target}");
        assert_eq!(next.on_link, gateway.is_none(), "{target}");
        assert_eq!(next.source, ip(source), "{target}");
        assert_eq!((next.interface.as_str(), next.mtu, next.src_mac), ("a0", 1500, OWN), "{target}");
    }
    for (target, reason) in dead_ends {
        let reach = follower.reach_of(target);
        assert!(is_unreachable(reason)(&reach), "{target}: {reach:?}");
    }
    for target in own {
        assert_eq!(follower.reach_of(target), Reach::Local, "{target}");
    }
    for target in silent {
        assert_eq!(follower.next_hop_of(target).dst_mac, None, "{target}");
    }

    site.in_b("addr add 192.0.2.77/24 dev b0");
    follower.wait_until("silent neighbour appears", LATER, "192.0.2.77", has_mac(PEER));
    follower.targets.send_modify(|targets| targets.retain(|target| *target == ip("192.0.2.2")));
    follower.wait_until_all("targets taken away", SOON, |map| map.len() == 1);
    site.in_a("addr add 198.51.100.9/32 dev lo");
    follower.targets.send_modify(|targets| {
        targets.insert(ip("198.51.100.9"));
    });
    follower.wait_until("target added", SOON, "198.51.100.9", |reach| *reach == Reach::Local);
    site.in_a("addr del 198.51.100.9/32 dev lo");
    follower.wait_until("own address taken away", SOON, "198.51.100.9", has_mac(PEER));
    follower.stop();
}

#[test]
fn the_lower_mtu_of_link_and_route_is_used() {
    let site = Site::new();
    site.in_a("route add 198.51.100.0/24 via 192.0.2.2 mtu 1400");
    site.in_a("route add 2001:db8:1::/64 via 2001:db8::2 mtu 1380");
    let mut follower = Follower::new(&site, &["192.0.2.2", "198.51.100.1", "2001:db8:1::1"]);
    follower.wait_until("MTU of an IPv4 route", SOON, "198.51.100.1", has_mtu(1400));
    follower.wait_until("MTU of an IPv6 route", SOON, "2001:db8:1::1", has_mtu(1380));
    follower.wait_until("MTU of the link", SOON, "192.0.2.2", has_mtu(1500));
    site.in_a("link set a0 mtu 1300");
    follower.wait_until("MTU of the link lowered", SOON, "192.0.2.2", has_mtu(1300));
    follower.wait_until("MTU of the link below the route's", SOON, "198.51.100.1", has_mtu(1300));
    site.in_a("link set a0 mtu 9000");
    follower.wait_until("MTU of the link raised", SOON, "192.0.2.2", has_mtu(9000));
    follower.wait_until("MTU of the route again", SOON, "198.51.100.1", has_mtu(1400));
    site.in_a("route replace 198.51.100.0/24 via 192.0.2.2 mtu 1350");
    follower.wait_until("MTU of the route lowered", SOON, "198.51.100.1", has_mtu(1350));
    follower.stop();
}

#[test]
fn an_announced_change_of_mac_is_followed() {
    let site = Site::new();
    let both = ["192.0.2.2", "2001:db8::2"];
    let mut follower = Follower::new(&site, &both);
    for target in both {
        follower.wait_until("resolved", SOON, target, has_mac(PEER));
    }
    // The kernel believes no other MAC within a second of the first.
    thread::sleep(Duration::from_millis(1100));
    site.in_b("link set b0 address 02:00:00:00:00:b1");
    for (target, own) in both.into_iter().zip(["192.0.2.1", "2001:db8::1"]) {
        site.b.run(&["ping", "-c", "1", "-W", "2", own]).unwrap();
        follower.wait_until("changed MAC heard", SOON, target, has_mac(PEER_LATER));
    }
    site.in_b("link set b0 down");
    follower.wait_until("carrier lost", SOON, "192.0.2.2", is_unreachable("interface a0 has no carrier"));
    site.in_b("link set b0 address 02:00:00:00:00:b0");
    site.in_b("link set b0 up");
    site.in_b("addr replace 2001:db8::2/64 dev b0 nodad");
    for target in both {
        follower.wait_until("changed MAC found, the carrier being back", LATER, target, has_mac(PEER));
    }
    follower.stop();
}

#[test]
fn a_silent_change_of_mac_is_found() {
    let site = Site::new();
    let both = ["192.0.2.2", "2001:db8::2"];
    for family in ["ipv4", "ipv6"] {
        for (name, value) in [("base_reachable_time_ms", "1000"), ("delay_first_probe_time", "1")] {
            site.a.write_sysctls(&[(&format!("{family}/neigh/a0/{name}"), value)]).unwrap();
        }
    }
    let mut follower = Follower::new(&site, &both);
    for target in both {
        follower.wait_until("resolved", SOON, target, has_mac(PEER));
    }
    site.in_b("link set b0 address 02:00:00:00:00:b1");
    for target in both {
        // A nudge after 15 s, a second until the first probe, three in vain.
        follower.wait_until("changed MAC found", Duration::from_secs(30), target, has_mac(PEER_LATER));
    }
    follower.stop();
}

#[test]
fn static_neighbours_stay_as_they_are() {
    let site = Site::new();
    site.in_a("neigh add 192.0.2.2 lladdr 02:00:00:00:00:99 dev a0 nud permanent");
    let mut follower = Follower::new(&site, &["192.0.2.2"]);
    let fixed = [2, 0, 0, 0, 0, 0x99];
    follower.wait_until("static neighbour", SOON, "192.0.2.2", has_mac(fixed));
    thread::sleep(Duration::from_millis(500));
    assert_eq!(follower.next_hop_of("192.0.2.2").dst_mac, Some(fixed));
    site.in_a("neigh del 192.0.2.2 dev a0");
    follower.wait_until("static neighbour removed", SOON, "192.0.2.2", has_mac(PEER));
    follower.stop();
}

#[test]
fn a_change_of_a_neighbour_is_followed_without_reading_everything() {
    let site = Site::new();
    site.in_a("route add 198.51.100.0/24 via 192.0.2.2");
    let behind = ["192.0.2.2", "198.51.100.1", "2001:db8::2"];
    let mut follower = Follower::new(&site, &behind);
    for target in behind {
        follower.wait_until("resolved", SOON, target, has_mac(PEER));
    }
    let before = follower.settled_readings();
    for (address, targets) in [("192.0.2.2", &behind[..2]), ("2001:db8::2", &behind[2..])] {
        site.in_a(&format!("neigh replace {address} lladdr 02:00:00:00:00:b1 dev a0 nud reachable"));
        for target in targets {
            follower.wait_until("changed MAC announced", SOON, target, has_mac(PEER_LATER));
        }
    }
    site.in_a("neigh del 2001:db8::2 dev a0");
    follower.wait_until("deleted, and looked for", SOON, "2001:db8::2", has_mac(PEER));
    assert_eq!(follower.settled_readings(), before);
    site.in_a("neigh del 192.0.2.2 dev a0");
    follower.wait_until("gateway deleted, and looked for", SOON, "198.51.100.1", has_mac(PEER));
    assert!(follower.settled_readings() > before, "the kernel may route by whether gateways answer");
    follower.stop();
}

#[test]
fn a_change_in_a_storm_of_others_is_found() {
    let site = Site::new();
    site.in_a("addr add 10.0.0.254/8 dev a0");
    let mut follower = Follower::new(&site, &["192.0.2.2"]);
    follower.wait_until("resolved", SOON, "192.0.2.2", has_mac(PEER));
    // More than the queue holds, and in their midst one that counts.
    let storm = |mac: u8| {
        let entry = move |n: u32| {
            format!(
                "neigh replace 10.0.{}.{} lladdr 02:00:00:00:01:{mac:02x} dev a0 nud permanent\n",
                n / 200,
                1 + n % 200
            )
        };
        (0..400).map(entry).collect::<String>()
    };
    let storms: String = (0..50).map(storm).collect();
    let change = "neigh replace 192.0.2.2 lladdr 02:00:00:00:00:b1 dev a0 nud permanent\n";
    site.a.ip_batch(&[&storms, change, &storms].concat()).unwrap();
    follower.wait_until("changed MAC found", SOON, "192.0.2.2", has_mac(PEER_LATER));
    println!("CPU time for 40,000 changes of neighbours that nobody needs: {:?}", follower.stop());
}

#[test]
fn lost_links_and_replaced_routes_are_followed() {
    let site = Site::new();
    site.in_b("addr add 192.0.2.3/24 dev b0");
    site.in_a("route add 198.51.100.0/24 via 192.0.2.2");
    let mut follower = Follower::new(&site, &["192.0.2.2", "198.51.100.1"]);
    follower.wait_until("resolved", SOON, "198.51.100.1", has_mac(PEER));
    site.in_a("route replace 198.51.100.0/24 via 192.0.2.3");
    follower.wait_until("route replaced", SOON, "198.51.100.1", has_gateway("192.0.2.3"));
    follower.wait_until("and resolved", SOON, "198.51.100.1", has_mac(PEER));
    site.in_a("nexthop add id 7 via 192.0.2.2 dev a0");
    site.in_a("route replace 198.51.100.0/24 nhid 7");
    follower.wait_until("route with a next-hop object", SOON, "198.51.100.1", has_gateway("192.0.2.2"));
    site.in_a("nexthop replace id 7 via 192.0.2.3 dev a0");
    follower.wait_until("next-hop object replaced", SOON, "198.51.100.1", has_gateway("192.0.2.3"));
    site.in_a("route add blackhole 198.51.100.0/24 table 77");
    site.in_a("rule add to 198.51.100.0/24 lookup 77");
    follower.wait_until("rule added", SOON, "198.51.100.1", is_unreachable("blackhole"));
    site.in_a("rule del to 198.51.100.0/24 lookup 77");
    follower.wait_until("rule removed", SOON, "198.51.100.1", has_mac(PEER));
    site.in_a("link set a0 down");
    follower.wait_until("link down", SOON, "192.0.2.2", is_unreachable("no route"));
    site.in_a("link set a0 up");
    follower.wait_until("link up", LATER, "192.0.2.2", has_mac(PEER));
    site.in_a("link del a0");
    follower.wait_until("link gone", SOON, "192.0.2.2", is_unreachable("no route"));
    follower.stop();
}

#[test]
fn two_hundred_targets_are_resolved_within_two_seconds() {
    let site = Site::new();
    let targets: BTreeSet<IpAddr> = (1..=200u8).map(|last| [10, 0, 0, last].into()).collect();
    site.in_a("addr add 10.0.0.254/24 dev a0");
    let addresses: String = targets.iter().map(|target| format!("addr add {target}/32 dev b0\n")).collect();
    site.b.ip_batch(&addresses).unwrap();
    let mut follower = Follower::new(&site, &[]);
    follower.targets.send_replace(targets.clone());
    follower.wait_until_all("200 targets resolved", Duration::from_secs(2), |map| {
        targets.iter().all(|target| map.get(target).is_some_and(has_mac(PEER)))
    });
    site.in_a("link set a0 mtu 1450");
    follower.wait_until_all("MTU of 200 targets", SOON, |map| map.values().all(has_mtu(1450)));
    println!("CPU time for 200 targets: {:?}", follower.stop());
}

#[test]
fn a_storm_of_route_changes_costs_little_cpu_time() {
    let site = Site::new();
    let mut follower = Follower::new(&site, &["192.0.2.2", "10.255.0.1"]);
    follower.wait_until("resolved", SOON, "192.0.2.2", has_mac(PEER));
    let route = |n| format!("route replace 10.{}.{}.0/24 via 192.0.2.2\n", n / 200, n % 200);
    let storm: String = (0..20_000).map(route).collect();
    let started = Instant::now();
    site.a.ip_batch(&format!("{storm}route add 10.255.0.0/24 via 192.0.2.2\n")).unwrap();
    let lasted = started.elapsed();
    follower.wait_until("the last of 20,000 changes", SOON, "10.255.0.1", has_mac(PEER));
    let cpu = follower.stop();
    println!("20,000 changes in {lasted:?} took {cpu:?} of CPU time");
    assert!(cpu < lasted / 4, "{cpu:?} of CPU time in {lasted:?}");
}
