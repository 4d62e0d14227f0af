//! Builds what a plan says, with as few processes as possible: one `ip -batch`
//! a namespace.

use std::{
    fmt::Write,
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
};

use anyhow::{Context, Result};

use crate::{
    address::{Cidr, Dual, Family, POD_NETWORKS},
    config::{Config, PodNetwork},
    namespace::Namespace,
    namespaces::create_namespaces,
    plan::{INTERFACE, Machine, Plan, Pod, client_network_address, fabric_address},
    sys,
};

/// The router's interfaces.
const TO_CLIENT: &str = "client";
const TO_SWITCH: &str = "fabric";
/// The switch's port to the router, and its bridge.
const TO_ROUTER: &str = "router";
const BRIDGE: &str = "bridge0";
/// What Pods take for their router, as with Calico: the same on every node.
const POD_GATEWAY: Dual =
    Dual { v4: Ipv4Addr::new(169, 254, 1, 1), v6: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1) };

/// In every namespace: no reverse path filter, as direct return makes routes asymmetric.
const EVERYWHERE: &[(&str, &str)] = &[("ipv4/conf/all/rp_filter", "0"), ("ipv4/conf/default/rp_filter", "0")];
const FORWARDING: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/all/send_redirects", "0"),
    ("ipv4/conf/default/send_redirects", "0"),
];
/// ECMP by ports too, so that the connections of one client spread.
const MULTIPATH: &[(&str, &str)] =
    &[("ipv4/fib_multipath_hash_policy", "1"), ("ipv6/fib_multipath_hash_policy", "1")];

pub fn assemble_testbed(config: &Config, plan: &Plan, bpffs: &Path) -> Result<()> {
    fs::create_dir_all(bpffs).with_context(|| format!("creating {}", bpffs.display()))?;
    let pass = bpffs.join("xdp_pass");
    sys::pin_xdp_pass(&pass)?;
    let namespaces: Vec<_> = plan.namespaces().collect();
    create_namespaces(namespaces.iter().copied())?;
    for namespace in namespaces {
        namespace.write_sysctls(EVERYWHERE)?;
    }
    plan.router.write_sysctls(FORWARDING)?;
    plan.router.write_sysctls(MULTIPATH)?;
    for machine in &plan.machines {
        machine.namespace.write_sysctls(FORWARDING)?;
    }
    join_router_and_switch(config, plan)?;
    attach_client(plan)?;
    plan.machines.iter().try_for_each(|machine| attach_machine(config, plan, machine, &pass))?;
    for pod in &plan.pods {
        attach_pod(config, plan, pod)?;
    }
    plan.machines
        .iter()
        .filter(|machine| plan.pods_of(machine).next().is_some())
        .try_for_each(|node| install_cni_rules(node, config.pod_network))?;
    match config.pod_network {
        PodNetwork::Masqueraded => Ok(()),
        PodNetwork::Routed => route_pods(plan),
    }
}

/// The router gets to know the way to each Pod.
fn route_pods(plan: &Plan) -> Result<()> {
    let mut lines = String::new();
    for (node, pod) in plan.machines.iter().flat_map(|node| plan.pods_of(node).map(move |pod| (node, pod))) {
        for family in Family::ALL {
            let (pod, node) = (pod.address.get(family), node.address.get(family));
            writeln!(lines, "route add {pod}/{} via {node}", family.bits())?;
        }
    }
    plan.router.ip_batch(&lines)
}

/// Builds the switch, if there is to be one, and its link to the router.
fn join_router_and_switch(config: &Config, plan: &Plan) -> Result<()> {
    let Some(switch) = &plan.switch else { return Ok(()) };
    let mtu = config.mtu;
    let mut lines = format!(
        "link add name {BRIDGE} mtu {mtu} type bridge stp_state 0 mcast_snooping 0\n\
         link set {BRIDGE} up\n"
    );
    write_veth_lines(&mut lines, TO_ROUTER, &plan.router, TO_SWITCH, mtu)?;
    writeln!(lines, "link set {TO_ROUTER} up master {BRIDGE}")?;
    switch.ip_batch(&lines)?;
    disable_tx_offload(switch, TO_ROUTER)?;
    plan.router.ip_batch(&address_lines(TO_SWITCH, &fabric_address(0, 1).with_prefix_lengths(24, 64))?)?;
    disable_tx_offload(&plan.router, TO_SWITCH)
}

fn attach_client(plan: &Plan) -> Result<()> {
    let mut lines = String::new();
    write_veth_lines(&mut lines, INTERFACE, &plan.router, TO_CLIENT, 1500)?;
    for address in &plan.client_addresses {
        lines += &address_lines(INTERFACE, &address.with_prefix_lengths(24, 64))?;
    }
    lines += &default_route_lines(client_network_address(1))?;
    plan.client.ip_batch(&lines)?;
    disable_tx_offload(&plan.client, INTERFACE)?;
    plan.router
        .ip_batch(&address_lines(TO_CLIENT, &client_network_address(1).with_prefix_lengths(24, 64))?)?;
    disable_tx_offload(&plan.router, TO_CLIENT)
}

fn attach_machine(config: &Config, plan: &Plan, machine: &Machine, pass: &Path) -> Result<()> {
    let mut lines = String::new();
    write_veth_lines(&mut lines, INTERFACE, &machine.upstream, &machine.name, config.mtu)?;
    lines += &address_lines(INTERFACE, &machine.address.with_prefix_lengths(24, 64))?;
    lines += &default_route_lines(machine.gateway)?;
    machine.namespace.ip_batch(&lines)?;
    disable_tx_offload(&machine.namespace, INTERFACE)?;
    let port = &machine.name;
    machine.upstream.ip_batch(&match plan.switch {
        Some(_) => format!("link set {port} up master {BRIDGE}\n"),
        None => address_lines(port, &machine.gateway.with_prefix_lengths(24, 64))?,
    })?;
    prepare_far_end(&machine.upstream, port, pass)
}

/// A Pod's link, with host routes to it and a link-local gateway for it.
fn attach_pod(config: &Config, plan: &Plan, pod: &Pod) -> Result<()> {
    let node = plan.machines.iter().find(|machine| machine.name == pod.node).context("a Pod without node")?;
    let mut lines = String::new();
    write_veth_lines(&mut lines, INTERFACE, &node.namespace, &pod.port, 1500)?;
    lines += &address_lines(INTERFACE, &pod.address.with_prefix_lengths(32, 128))?;
    writeln!(lines, "route add {} dev {INTERFACE} scope link", POD_GATEWAY.v4)?;
    lines += &default_route_lines(POD_GATEWAY)?;
    pod.namespace.ip_batch(&lines)?;
    node.namespace.ip_batch(&pod_link_lines(node, pod)?)?;
    if config.pod_offload {
        return Ok(());
    }
    disable_tx_offload(&pod.namespace, INTERFACE)?;
    disable_tx_offload(&node.namespace, &pod.port)
}

fn pod_link_lines(node: &Machine, pod: &Pod) -> Result<String> {
    let mut lines = address_lines(&pod.port, &POD_GATEWAY.with_prefix_lengths(32, 64))?;
    for family in Family::ALL {
        // With the node's own address as source: the gateway's is not unique.
        let (address, source) = (pod.address.get(family), node.address.get(family));
        writeln!(lines, "route add {}/{} dev {} src {source}", address, family.bits(), pod.port)?;
    }
    Ok(lines)
}

/// What CNIs and kube-proxy add, and what a load balancer with direct return
/// must get along with: masquerade for Pods, and a drop of packets
/// that conntrack finds invalid.
fn install_cni_rules(node: &Machine, network: PodNetwork) -> Result<()> {
    let mut rules = String::from(
        "table inet cni {\n\
         chain postrouting {\n\
         type nat hook postrouting priority 100\n",
    );
    for pods in POD_NETWORKS.iter().filter(|_| network == PodNetwork::Masqueraded) {
        let header = pods.family().nft_header();
        let outward = format!("{header} saddr {pods} {header} daddr != {pods} oifname \"{INTERFACE}\"");
        writeln!(rules, "{outward} counter name masqueraded masquerade")?;
    }
    rules += "}\n\
              chain forward {\n\
              type filter hook forward priority 0\n\
              ct state invalid counter name invalid drop\n\
              }\n\
              counter masqueraded { }\n\
              counter invalid { }\n\
              }\n";
    node.namespace.load_nft_rules(&rules)
}

/// A pair of virtual Ethernet interfaces, from the namespace where it is run.
fn write_veth_lines(lines: &mut String, name: &str, far: &Namespace, far_name: &str, mtu: u32) -> Result<()> {
    let far = &far.name;
    writeln!(lines, "link add name {name} mtu {mtu} type veth peer name {far_name} mtu {mtu} netns {far}")?;
    writeln!(lines, "link set {name} up")?;
    Ok(())
}

/// Brings an interface up and gives it addresses.
fn address_lines(interface: &str, addresses: &[Cidr]) -> Result<String> {
    let mut lines = format!("link set {interface} up\n");
    for address in addresses {
        let nodad = if address.family() == Family::V6 { " nodad" } else { "" };
        writeln!(lines, "address add {address} dev {interface}{nodad}")?;
    }
    Ok(lines)
}

fn default_route_lines(gateway: Dual) -> Result<String> {
    let mut lines = String::new();
    for gateway in gateway.both() {
        writeln!(lines, "route add default via {gateway} dev {INTERFACE}")?;
    }
    Ok(lines)
}

/// The far end of a link whose near end sends from XDP.
///
/// A program has to be here for XDP_TX there: with NAPI alone, which GRO turns
/// on, the frames lie in the queue until an ordinary packet follows
/// (`veth_xdp_flush` looks for a program, not for NAPI). With the program comes
/// GRO, which is not to merge anything, or packets would be counted, and
/// arrive, otherwise than they were sent.
fn prepare_far_end(namespace: &Namespace, interface: &str, pass: &Path) -> Result<()> {
    let pass = pass.display();
    namespace.ip_batch(&format!("link set {interface} gro_max_size 1 xdpdrv pinned {pass}\n"))?;
    disable_tx_offload(namespace, interface)
}

/// With TX checksum offload a packet on a veth carries half a checksum, which a
/// program that rewrites it in XDP would complete wrongly.
fn disable_tx_offload(namespace: &Namespace, interface: &str) -> Result<()> {
    namespace.run(&["ethtool", "-K", interface, "tx", "off"]).map(drop)
}
