//! Each delivery (l2, ipip, gue) in both address families, with the real eBPF programs and real packets.

mod common;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use common::{round::Round, run_with_diagnostics};
use lb_testbed::{Config, Family, Machine, Namespace, ServiceSpec, Triangle};

/// An nftables ruleset that counts what the router forwards from these senders, by the protocols of the outer and
/// the inner header.
fn outer_header_ruleset(senders: &[&Machine]) -> String {
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

/// The names of the counters of the nftables table `outer` that are not zero, sorted.
fn forwarded_header_combinations(router: &Namespace) -> Result<Vec<String>> {
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

/// Sends requests to all Pods. The Service asks for the delivery `asked`, and directors must use `expected`.
/// Returns the header combinations that the router forwarded.
fn check_delivery(config: Config, asked: &str, expected: &str) -> Result<Vec<String>> {
    let services = [ServiceSpec::with_all_ports("web").delivery(asked)];
    run_with_diagnostics(&mut Triangle::start(config, &services)?, |triangle| {
        let testbed = &triangle.testbed;
        // Directors only: nodes forward to each other too, and always in UDP.
        testbed.router().load_nft_rules(&outer_header_ruleset(&testbed.directors()))?;
        Round::of_all_pods(triangle).run(triangle)?;
        for director in testbed.directors() {
            check_delivery_of_director(triangle, director, expected)?;
        }
        forwarded_header_combinations(testbed.router())
    })
}

fn check_delivery_of_director(triangle: &Triangle, director: &Machine, expected: &str) -> Result<()> {
    let backends = triangle.testbed.run_trigon_json(director, &["backends"])?;
    let backends = backends.as_array().context("no list of backends")?;
    ensure!(backends.iter().all(|backend| backend["delivery"] == expected), "{backends:?}");
    let verdicts = triangle.testbed.read_verdicts(director)?;
    let forwarded: BTreeMap<_, _> =
        verdicts.iter().filter(|(name, packets)| !name.contains("pass") && **packets > 0).collect();
    println!("{}: {forwarded:?}", director.name);
    let only = forwarded.keys().all(|name| **name == format!("forward_{expected}"));
    ensure!(only && forwarded.len() == 1, "{}: {forwarded:?}", director.name);
    Ok(())
}

fn config_with_node_family(family: Family) -> Config {
    Config { node_family: Some(family), ..Config::l3() }
}

#[test]
fn l2_forwards_by_mac_address_on_one_link() -> Result<()> {
    check_delivery(Config::l2(), "l2", "l2").map(drop)
}

#[test]
fn auto_chooses_l2_on_one_link() -> Result<()> {
    check_delivery(Config::l2(), "auto", "l2").map(drop)
}

#[test]
fn ipip_is_used_on_one_link_if_requested() -> Result<()> {
    check_delivery(Config::l2(), "ipip", "ipip").map(drop)
}

#[test]
fn auto_chooses_gue_over_a_router() -> Result<()> {
    let seen = check_delivery(Config::l3(), "auto", "gue")?;
    ensure!(seen == ["udp_in_v4", "udp_in_v6"], "{seen:?}");
    Ok(())
}

#[test]
fn gue_uses_the_only_family_of_the_nodes() -> Result<()> {
    for (family, outer) in [(Family::V4, "udp_in_v4"), (Family::V6, "udp_in_v6")] {
        let seen = check_delivery(config_with_node_family(family), "gue", "gue")?;
        ensure!(seen == [outer], "{seen:?}");
    }
    Ok(())
}

#[test]
fn ipip_uses_the_inner_family_over_a_router() -> Result<()> {
    let seen = check_delivery(Config::l3(), "ipip", "ipip")?;
    ensure!(seen == ["v4_in_v4", "v6_in_v6"], "{seen:?}");
    Ok(())
}

#[test]
fn ipip_uses_ipv4_to_nodes_without_ipv6() -> Result<()> {
    let seen = check_delivery(config_with_node_family(Family::V4), "ipip", "ipip")?;
    ensure!(seen == ["v4_in_v4", "v6_in_v4"], "{seen:?}");
    Ok(())
}

#[test]
fn ipip_uses_ipv6_to_nodes_without_ipv4() -> Result<()> {
    let seen = check_delivery(config_with_node_family(Family::V6), "ipip", "ipip")?;
    ensure!(seen == ["v4_in_v6", "v6_in_v6"], "{seen:?}");
    Ok(())
}
