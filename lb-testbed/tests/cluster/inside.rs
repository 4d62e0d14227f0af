//! Clients inside: a Pod on each node, one that is an endpoint, and each node by itself. What they send to a VIP,
//! kube-proxy takes if the Service's status says `ipMode: VIP`, as the controller writes it, and directors do if it says
//! `Proxy` (KEP-1860).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use anyhow::{Context, Result, ensure};
use lb_testbed::{
    Dual, Family, Machine, VIP,
    cluster::{Cluster, InsideClient, NAMESPACE, WORKLOAD, pod_gateways},
};
use serde_json::{Value, json};

use super::{PATIENCE, PODS, ask_agent, common::wait_at_most, with_agents, with_cluster};

/// From each client to each VIP: that one of six Pods gets none of them happens once in 10^11 times.
const REQUESTS: u64 = 150;
/// A VIP of kube-proxy's alone.
const OTHER_VIP: Dual =
    Dual { v4: Ipv4Addr::new(192, 0, 2, 20), v6: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x20) };

/// How what a client inside sends to a VIP gets to a Pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// By kube-proxy of the client's node, with `externalTrafficPolicy: Cluster`.
    Proxied,
    /// The same with `Local`, where kube-proxy takes Pods for inside, and does not masquerade them.
    ProxiedLocal,
    /// By a director.
    Directed,
}

/// The clients, and on which nodes Pods are.
struct Inside<'a> {
    cluster: &'a Cluster,
    clients: Vec<InsideClient>,
    nodes: BTreeMap<String, String>,
}

impl<'a> Inside<'a> {
    fn start(cluster: &'a Cluster) -> Result<Self> {
        let clients = cluster.start_inside_clients()?;
        let nodes = cluster.list_pods(WORKLOAD)?.into_iter().map(|pod| (pod.name, pod.node)).collect();
        Ok(Self { cluster, clients, nodes })
    }

    /// Every request is answered, by exactly these Pods, and they see whom they are to see.
    fn are_answered(&self, way: Way, vip: Dual, port: u16, pods: &BTreeSet<String>) -> Result<()> {
        for client in &self.clients {
            for vip in vip.both() {
                let target = SocketAddr::new(vip, port);
                let report = self.cluster.send_requests_inside(client, target, REQUESTS)?;
                let told = || format!("{way:?}: {} on {} -> {target}: {report:?}", client.name, client.node);
                println!("{}", told());
                ensure!(report.answered == report.requests, "{}", told());
                ensure!(report.sources.keys().eq(pods), "{}, not {pods:?}", told());
                for (pod, seen) in &report.sources {
                    let expected = self.sources(way, client, pod)?;
                    ensure!(seen.is_subset(&expected), "{}: {pod} was to see {expected:?}", told());
                }
            }
        }
        Ok(())
    }

    /// What a Pod may see as a client's address.
    fn sources(&self, way: Way, client: &InsideClient, pod: &str) -> Result<BTreeSet<IpAddr>> {
        let is_own_node = self.nodes.get(pod).with_context(|| format!("no Pod {pod}"))? == &client.node;
        let own = client.addresses.iter().copied();
        Ok(match way {
            Way::Directed if is_own_node => VIP.both().into(),
            Way::Directed => own.collect(),
            // One that gets to itself is masqueraded all the same.
            Way::ProxiedLocal if client.is_pod() && client.name != pod => own.collect(),
            Way::Proxied | Way::ProxiedLocal => {
                masquerade(self.cluster.testbed.machine(&client.node)?, is_own_node)
            }
        })
    }

    fn pods_on(&self, node: &Machine) -> BTreeSet<String> {
        let here = self.nodes.iter().filter(|(_, name)| **name == node.name);
        here.map(|(pod, _)| pod.clone()).collect()
    }
}

/// What kube-proxy makes of a node's and its Pods' addresses: what the node has on the link that a packet leaves by.
fn masquerade(node: &Machine, stays: bool) -> BTreeSet<IpAddr> {
    let links = pod_gateways(node).into_iter().filter(|_| stays);
    links.chain(node.addresses()).collect()
}

fn set_policy(cluster: &Cluster, policy: &str) -> Result<()> {
    let patch = json!({"spec": {"externalTrafficPolicy": policy}}).to_string();
    cluster.kubectl(&["patch", "service", WORKLOAD, "--type=merge", "--patch", &patch]).map(drop)
}

/// Has clients inside get to the VIPs by directors: the Service asks for none, and so the controller leaves it those that
/// are written by hand, with another `ipMode`.
fn direct(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["annotate", "service", WORKLOAD, "trigon.dev/load-balancer-ips-"])?;
    wait_at_most(PATIENCE, "the controller takes back what it gave", || {
        let service = cluster.get(&["service", WORKLOAD])?;
        Ok(service["status"]["loadBalancer"]["ingress"].as_array().is_none_or(Vec::is_empty))
    })?;
    let ingress = VIP.both().map(|vip| json!({"ip": vip, "ipMode": "Proxy"}));
    let patch = json!({"status": {"loadBalancer": {"ingress": ingress}}}).to_string();
    let how = ["--subresource=status", "--type=merge", "--patch", &patch];
    cluster.kubectl(&[&["patch", "service", WORKLOAD], &how[..]].concat())?;
    wait_for_rules(cluster, Way::Directed, VIP, 80)?;
    cluster.wait_all_answer()
}

/// Waits until kube-proxy has rules for this way on all nodes.
fn wait_for_rules(cluster: &Cluster, way: Way, vip: Dual, port: u16) -> Result<()> {
    for node in cluster.testbed.nodes() {
        for vip in vip.both() {
            let target = format!("{vip} . tcp . {port} :");
            wait_at_most(PATIENCE, &format!("{way:?}: {target} on {}", node.name), || {
                let family = Family::of(vip).nft_header();
                let rules = node.namespace.run(&["nft", "list", "table", family, "kube-proxy"])?;
                let is_local = rules.contains("short-circuit pod traffic");
                Ok(match way {
                    Way::Proxied => rules.contains(&target) && !is_local,
                    Way::ProxiedLocal => rules.contains(&target) && is_local,
                    Way::Directed => !rules.contains(&target),
                })
            })?;
        }
    }
    Ok(())
}

/// Directors come last: of a flow by them, a Pod remembers the client's address and port, and kube-proxy may choose the
/// same port again.
#[test]
fn clients_inside_are_answered_by_kube_proxy_and_by_directors() -> Result<()> {
    with_cluster(PODS, |cluster| {
        let inside = Inside::start(cluster)?;
        let all = cluster.pods()?;
        wait_for_rules(cluster, Way::Proxied, VIP, 80)?;
        inside.are_answered(Way::Proxied, VIP, 80, &all)?;
        set_policy(cluster, "Local")?;
        wait_for_rules(cluster, Way::ProxiedLocal, VIP, 80)?;
        inside.are_answered(Way::ProxiedLocal, VIP, 80, &all)?;

        set_policy(cluster, "Cluster")?;
        direct(cluster)?;
        inside.are_answered(Way::Directed, VIP, 80, &all)?;
        set_policy(cluster, "Local")?;
        let on_directors: Vec<_> = cluster.directors().iter().map(|node| inside.pods_on(node)).collect();
        ensure!(!on_directors.iter().any(BTreeSet::is_empty), "a director has no Pods: {:?}", inside.nodes);
        let on_directors: BTreeSet<_> = on_directors.into_iter().flatten().collect();
        wait_at_most(PATIENCE, "directors deliver to their own Pods", || {
            let answers = cluster.send_requests(20)?;
            ensure!(answers.all_answered(), "{answers:?}");
            Ok(answers.per_pod.keys().eq(&on_directors))
        })?;
        inside.are_answered(Way::Directed, VIP, 80, &on_directors)
    })
}

/// Clients on them too, whichever director their packets come to.
#[test]
fn directors_that_are_no_nodes_are_answered() -> Result<()> {
    with_agents(|cluster| {
        let role = json!([{
            "op": "replace",
            "path": "/spec/template/spec/containers/0/args/1",
            "value": "--role=director",
        }]);
        let (role, set) = (role.to_string(), ["--namespace", NAMESPACE, "daemonset/trigon-director"]);
        cluster.kubectl(&[&["patch", "--type=json", "--patch", &role], &set[..]].concat())?;
        cluster.kubectl(&[&["rollout", "status", "--timeout=180s"], &set[..]].concat())?;
        for director in cluster.directors() {
            cluster.kubectl(&["cordon", &director.name])?;
        }
        cluster.serve(2)?;

        let inside = Inside::start(cluster)?;
        let all = cluster.pods()?;
        let are_free = cluster.directors().iter().all(|node| inside.pods_on(node).is_empty());
        ensure!(are_free, "Pods are on directors: {:?}", inside.nodes);
        wait_for_rules(cluster, Way::Proxied, VIP, 80)?;
        inside.are_answered(Way::Proxied, VIP, 80, &all)?;
        direct(cluster)?;
        inside.are_answered(Way::Directed, VIP, 80, &all)
    })
}

/// Services of ours without `trigon.dev/dsr`: one has VIPs of its own, one shares those of a Service in the data path.
#[test]
fn kube_proxy_carries_what_is_not_in_the_data_path() -> Result<()> {
    with_cluster(PODS, |cluster| {
        let inside = Inside::start(cluster)?;
        let all = cluster.pods()?;
        for (name, vip, port) in [("plain", OTHER_VIP, 80), ("sharing", VIP, 8000)] {
            cluster.serve_by_kube_proxy(name, vip, port)?;
            wait_for_rules(cluster, Way::Proxied, vip, port)?;
            inside.are_answered(Way::Proxied, vip, port, &all)?;
        }
        let mut passed = 0;
        for pod in cluster.agent_pods()? {
            let counts = ask_agent(cluster, &pod, &["drops", "--all"])?;
            let of_kube_proxy = |row: &&Value| row["reason"] == "pass_kube_proxy";
            let row = counts.as_array().into_iter().flatten().find(of_kube_proxy);
            passed += row.and_then(|row| row["packets"].as_u64()).context("no such verdict")?;
        }
        ensure!(passed > 0, "no director passed a packet to kube-proxy: the test shows nothing");
        cluster.wait_all_answer()
    })
}
