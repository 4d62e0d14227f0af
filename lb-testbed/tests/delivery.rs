//! Every way to deliver, in both families: real programs, real packets.

mod common;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use common::{round::Round, run_with_diagnostics};
use lb_testbed::{Config, Family, Machine, Namespace, ServiceSpec, Triangle};

/// What the router forwards of these senders, by the protocols of outer and
/// inner header.
fn outer(senders: &[&Machine]) -> String {
    let list = |all: Vec<String>| all.join(", ");
    let v4 = list(senders.iter().map(|sender| sender.address.v4.to_string()).collect());
    let v6 = list(senders.iter().map(|sender| sender.address.v6.to_string()).collect());
    format!(
        "table inet outer {{
    chain forward {{
        type filter hook forward priority 0
        ip saddr != {{ {v4} }} accept
        ip6 saddr != {{ {v6} }} accept
        ip protocol 4 counter name v4_in_v4
        ip protocol 41 counter name v6_in_v4
        ip6 nexthdr 4 counter name v4_in_v6
        ip6 nexthdr 41 counter name v6_in_v6
        ip protocol udp udp dport 6080 counter name udp_in_v4
        ip6 nexthdr udp udp dport 6080 counter name udp_in_v6
    }}
    counter v4_in_v4 {{ }}
    counter v6_in_v4 {{ }}
    counter v4_in_v6 {{ }}
    counter v6_in_v6 {{ }}
    counter udp_in_v4 {{ }}
    counter udp_in_v6 {{ }}
}}
"
    )
}

/// The combinations that the router has seen.
fn combinations(router: &Namespace) -> Result<Vec<String>> {
    let text = router.run(&["nft", "-j", "list", "counters", "table", "inet", "outer"])?;
    let listing: serde_json::Value = serde_json::from_str(&text)?;
    let counters = listing["nftables"].as_array().context("nft printed no list")?;
    let counters = counters.iter().filter_map(|entry| entry.get("counter"));
    let seen: BTreeMap<_, _> =
        counters.map(|counter| (counter["name"].as_str().unwrap_or_default(), &counter["packets"])).collect();
    println!("the router forwarded {seen:?}");
    Ok(seen
        .into_iter()
        .filter(|(_, packets)| packets.as_u64().is_some_and(|packets| packets > 0))
        .map(|(name, _)| name.to_owned())
        .collect())
}

/// Requests go round, delivered as `expected`.
fn delivers(config: Config, asked: &str, expected: &str) -> Result<Vec<String>> {
    let services = [ServiceSpec::everything("web").delivery(asked)];
    run_with_diagnostics(&mut Triangle::start(config, &services)?, |triangle| {
        let testbed = &triangle.testbed;
        // Nodes have tunnels of their own, always in UDP.
        testbed.router().nft(&outer(&testbed.directors()))?;
        Round::of_all_pods(triangle).run(triangle)?;
        for director in testbed.directors() {
            delivered(triangle, director, expected)?;
        }
        combinations(testbed.router())
    })
}

fn delivered(triangle: &Triangle, director: &Machine, expected: &str) -> Result<()> {
    let backends = triangle.testbed.trigon_json(director, &["backends"])?;
    let backends = backends.as_array().context("no list of backends")?;
    ensure!(backends.iter().all(|backend| backend["delivery"] == expected), "{backends:?}");
    let verdicts = triangle.testbed.verdicts(director)?;
    let forwarded: BTreeMap<_, _> =
        verdicts.iter().filter(|(name, packets)| !name.contains("pass") && **packets > 0).collect();
    println!("{}: {forwarded:?}", director.name);
    let only = forwarded.keys().all(|name| **name == format!("forward_{expected}"));
    ensure!(only && forwarded.len() == 1, "{}: {forwarded:?}", director.name);
    Ok(())
}

fn of_family(family: Family) -> Config {
    Config { node_family: Some(family), ..Config::l3() }
}

#[test]
fn by_mac_address_on_one_link() -> Result<()> {
    delivers(Config::l2(), "l2", "l2").map(drop)
}

#[test]
fn auto_is_by_mac_address_on_one_link() -> Result<()> {
    delivers(Config::l2(), "auto", "l2").map(drop)
}

#[test]
fn in_an_outer_header_on_one_link_if_asked_for() -> Result<()> {
    delivers(Config::l2(), "ipip", "ipip").map(drop)
}

#[test]
fn auto_is_within_udp_over_a_router() -> Result<()> {
    let seen = delivers(Config::l3(), "auto", "gue")?;
    ensure!(seen == ["udp_in_v4", "udp_in_v6"], "{seen:?}");
    Ok(())
}

#[test]
fn within_udp_to_nodes_of_one_family() -> Result<()> {
    for (family, outer) in [(Family::V4, "udp_in_v4"), (Family::V6, "udp_in_v6")] {
        let seen = delivers(of_family(family), "gue", "gue")?;
        ensure!(seen == [outer], "{seen:?}");
    }
    Ok(())
}

#[test]
fn in_an_outer_header_of_the_own_family_over_a_router() -> Result<()> {
    let seen = delivers(Config::l3(), "ipip", "ipip")?;
    ensure!(seen == ["v4_in_v4", "v6_in_v6"], "{seen:?}");
    Ok(())
}

#[test]
fn in_ipv4_to_nodes_without_ipv6() -> Result<()> {
    let seen = delivers(of_family(Family::V4), "ipip", "ipip")?;
    ensure!(seen == ["v4_in_v4", "v6_in_v4"], "{seen:?}");
    Ok(())
}

#[test]
fn in_ipv6_to_nodes_without_ipv4() -> Result<()> {
    let seen = delivers(of_family(Family::V6), "ipip", "ipip")?;
    ensure!(seen == ["v4_in_v6", "v6_in_v6"], "{seen:?}");
    Ok(())
}
