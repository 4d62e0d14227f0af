//! VIPs are announced where and while there are endpoints for them.

use std::{collections::BTreeSet, net::Ipv4Addr};

use anyhow::{Result, ensure};
use lb_testbed::{
    Config,
    EndpointState::{NotReady, Ready, Terminating, TerminatingNotReady},
    PortSpec, Protocol, ServiceSpec, UDP_ECHO_PORT,
};
use serde_json::json;

use super::lab::{Lab, small_config, vip_prefixes};

const BIRD: &str = include_str!("bird.conf");
const OBJECTS: &str = include_str!("objects.yaml");

/// VIPs of Services that kube-proxy carries.
const LOCAL_VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 50);
const CLUSTER_VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 51);

#[test]
fn a_vip_is_withdrawn_when_its_endpoints_go_and_comes_back_with_them() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?.run_with_diagnostics(|lab| {
        lab.wait_announced()?;
        let web = ServiceSpec::with_all_ports("web");
        let gone = [
            web.clone().endpoints(&[]),
            web.clone().endpoints(&[("pod1_1", NotReady)]),
            web.clone().endpoints(&[("pod1_1", TerminatingNotReady)]),
        ];
        for service in gone {
            lab.triangle.write_objects(&[service])?;
            for prefix in vip_prefixes() {
                lab.wait_routes(&prefix, <[_]>::is_empty)?;
            }
            lab.triangle.write_objects(std::slice::from_ref(&web))?;
            lab.wait_announced()?;
        }
        lab.triangle.write_objects(&[web.clone().endpoints(&[("pod1_1", NotReady)])])?;
        for prefix in vip_prefixes() {
            lab.wait_routes(&prefix, <[_]>::is_empty)?;
        }
        // With no endpoint that is ready, one that still serves takes new connections.
        lab.triangle.write_objects(&[web.endpoints(&[("pod1_1", Terminating)])])?;
        lab.wait_announced()?;
        let told = lab.peer_status("director1", "of-director1")?;
        ensure!(told["established"] == 1, "the session was reset: {told}");
        Ok(())
    })
}

/// A director without a route to the only node withdraws the VIPs, and keeps its session.
#[test]
fn a_vip_is_withdrawn_while_no_backend_can_be_reached() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?.run_with_diagnostics(|lab| {
        lab.wait_announced()?;
        let director = lab.triangle.testbed.machine("director1")?;
        director.namespace.ip("-4 route delete default")?;
        director.namespace.ip("-6 route delete default")?;
        for prefix in vip_prefixes() {
            lab.wait_routes(&prefix, <[_]>::is_empty)?;
        }
        for gateway in director.gateway.both() {
            director.namespace.ip(&format!("route add default via {gateway} dev {}", director.interface))?;
        }
        lab.wait_announced()?;
        let told = lab.peer_status("director1", "of-director1")?;
        ensure!(told["established"] == 1 && told["state"] == "Established", "the session was reset: {told}");
        Ok(())
    })
}

/// A Service that kube-proxy carries, with Pods that are ready or not.
fn kube_proxy_service(name: &str, vip: Ipv4Addr, policy: &str, ready: [bool; 2]) -> ServiceSpec {
    let port = PortSpec::new("udp-echo", Protocol::Udp, UDP_ECHO_PORT, UDP_ECHO_PORT);
    let [first, second] = ready.map(|is_ready| if is_ready { Ready } else { NotReady });
    ServiceSpec::new(name, vec![port])
        .vips([vip.into()])
        .annotation("trigon.dev/dsr", "false")
        .field("externalTrafficPolicy", json!(policy))
        .endpoints(&[("pod1_1", first), ("pod2_1", second)])
}

/// Waits until these machines, and no others, announce a VIP.
fn wait_announced_by(lab: &Lab, vip: Ipv4Addr, machines: &[&str]) -> Result<()> {
    let is_so = |from: BTreeSet<&str>| from.iter().eq(machines);
    lab.wait_routes(&format!("{vip}/32"), |routes| is_so(routes.iter().map(|route| &*route.from).collect()))
        .map(drop)
}

#[test]
fn with_a_local_policy_only_nodes_with_a_ready_endpoint_announce() -> Result<()> {
    let config = Config { nodes: 2, ..small_config() };
    Lab::start_bird(config, BIRD, OBJECTS)?.run_with_diagnostics(|lab| {
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
                ServiceSpec::with_all_ports("web"),
                kube_proxy_service("local", LOCAL_VIP, "Local", ready),
                kube_proxy_service("cluster", CLUSTER_VIP, "Cluster", ready),
            ];
            lab.triangle.write_objects(&services)?;
            wait_announced_by(lab, LOCAL_VIP, local)?;
            wait_announced_by(lab, CLUSTER_VIP, everywhere)?;
        }
        Ok(())
    })
}
