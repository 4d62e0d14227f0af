//! VIPs are announced where and while there are endpoints for them.

use std::{collections::BTreeSet, net::Ipv4Addr};

use anyhow::{Result, ensure};
use lb_testbed::{
    Config,
    EndpointState::{NotReady, Ready, Terminating},
    PortSpec, Protocol, ServiceSpec, UDP_ECHO_PORT,
};
use serde_json::json;

use super::lab::{Lab, prefixes, small};

const BIRD: &str = include_str!("bird.conf");
const OBJECTS: &str = include_str!("objects.yaml");

/// Of Services that kube-proxy carries.
const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 50);
const CLUSTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 51);

#[test]
fn a_vip_is_withdrawn_when_its_endpoints_go_and_comes_back_with_them() -> Result<()> {
    Lab::bird(small(), BIRD, OBJECTS)?.told(|lab| {
        lab.wait_announced()?;
        let web = ServiceSpec::everything("web");
        let gone = [
            web.clone().endpoints(&[]),
            web.clone().endpoints(&[("pod1_1", NotReady)]),
            web.clone().endpoints(&[("pod1_1", Terminating)]),
        ];
        for service in gone {
            lab.triangle.write(&[service])?;
            for prefix in prefixes() {
                lab.wait_routes(&prefix, <[_]>::is_empty)?;
            }
            lab.triangle.write(std::slice::from_ref(&web))?;
            lab.wait_announced()?;
        }
        let told = lab.peer("director1", "of-director1")?;
        ensure!(told["established"] == 1, "the session was reset: {told}");
        Ok(())
    })
}

/// A Service that kube-proxy carries, with Pods that are ready or not.
fn kube_proxys(name: &str, vip: Ipv4Addr, policy: &str, ready: [bool; 2]) -> ServiceSpec {
    let port = PortSpec::new("udp-echo", Protocol::Udp, UDP_ECHO_PORT, UDP_ECHO_PORT);
    let [first, second] = ready.map(|is_ready| if is_ready { Ready } else { NotReady });
    ServiceSpec::new(name, vec![port])
        .vips([vip.into()])
        .annotation("trigon.dev/dsr", "false")
        .field("externalTrafficPolicy", json!(policy))
        .endpoints(&[("pod1_1", first), ("pod2_1", second)])
}

/// Waits until these machines, and no others, announce a VIP.
fn wait_by(lab: &Lab, vip: Ipv4Addr, machines: &[&str]) -> Result<()> {
    let is_so = |from: BTreeSet<&str>| from.iter().eq(machines);
    lab.wait_routes(&format!("{vip}/32"), |routes| is_so(routes.iter().map(|route| &*route.from).collect()))
        .map(drop)
}

#[test]
fn with_a_local_policy_only_nodes_with_a_ready_endpoint_announce() -> Result<()> {
    let config = Config { nodes: 2, ..small() };
    Lab::bird(config, BIRD, OBJECTS)?.told(|lab| {
        let all: &[&str] = &["director1", "node1", "node2"];
        let table: [([bool; 2], &[&str], &[&str]); 5] = [
            ([true, true], &["node1", "node2"], all),
            ([false, true], &["node2"], all),
            ([true, false], &["node1"], all),
            ([false, false], &[], &[]),
            ([true, true], &["node1", "node2"], all),
        ];
        for (ready, local, everywhere) in table {
            let services = [
                ServiceSpec::everything("web"),
                kube_proxys("local", LOCAL, "Local", ready),
                kube_proxys("cluster", CLUSTER, "Cluster", ready),
            ];
            lab.triangle.write(&services)?;
            wait_by(lab, LOCAL, local)?;
            wait_by(lab, CLUSTER, everywhere)?;
        }
        Ok(())
    })
}
