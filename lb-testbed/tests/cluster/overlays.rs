//! What the overlays install, beside the base.

use std::{fs, net::SocketAddr};

use anyhow::{Context, Result, ensure};
use lb_testbed::{
    DirectorCounters, VIP,
    cluster::{Cluster, NAMESPACE, WORKLOAD},
};
use serde_json::{Value, json};

use super::{
    NODES, PATIENCE, PODS, agent_status, common::wait_at_most, is_settled, quick_start::expose_inside,
    with_nodes,
};

const OVERLAYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/overlays");
/// What the overlay `files` has agents read.
const CONFIG_MAP: &str = "trigon-objects";

fn apply_overlay(cluster: &Cluster, name: &str) -> Result<()> {
    cluster.kubectl(&["apply", "--server-side", "-k", &format!("{OVERLAYS}/{name}")]).map(drop)
}

#[test]
fn every_node_is_a_director_without_a_label() -> Result<()> {
    with_nodes(|cluster| {
        apply_overlay(cluster, "all-directors")?;
        cluster.wait_daemonset("trigon-node", NODES)?;
        cluster.wait_controllers()?;
        cluster.serve(PODS)?;
        for pod in cluster.agent_pods()? {
            let status = agent_status(cluster, &pod)?;
            ensure!(status["roles"] == json!(["director", "node"]), "{pod}: {status}");
        }
        for node in cluster.testbed.nodes() {
            cluster.testbed.route_vips_via(&[node])?;
            let counters = DirectorCounters::attach_to(&[node])?;
            cluster.wait_all_answer()?;
            ensure!(counters.read()?.packets > 0, "nothing came by {}", node.name);
        }
        Ok(())
    })
}

/// Agents have no rights there, and follow the ConfigMap.
#[test]
fn agents_serve_what_a_config_map_says() -> Result<()> {
    with_nodes(|cluster| {
        cluster.label_directors()?;
        expose_inside(cluster)?;
        cluster.kubectl(&["create", "namespace", NAMESPACE])?;
        write_config_map(cluster, "create", PODS)?;
        apply_overlay(cluster, "files")?;
        for (name, count) in cluster.daemonsets() {
            cluster.wait_daemonset(name, count)?;
        }
        let target = SocketAddr::new(VIP.v4.into(), 80);
        cluster.wait_all_answer_at(target)?;
        for pod in cluster.agent_pods()? {
            let status = agent_status(cluster, &pod)?;
            let place = status["source"]["place"].as_str().unwrap_or_default();
            ensure!(status["ready"] == true && place.contains("/etc/trigon"), "{pod}: {status}");
        }

        let fewer = PODS / 2;
        cluster.change(fewer, 1)?;
        wait_at_most(PATIENCE, "fewer Pods", || is_settled(cluster, fewer))?;
        write_config_map(cluster, "replace", fewer)?;
        // A kubelet looks at ConfigMaps every 60 to 90 s, and when a Pod changes that reads one.
        let annotate = ["annotate", "--namespace", NAMESPACE, "pods", "--all", "trigon.dev/looked-at=now"];
        cluster.kubectl(&annotate)?;
        cluster.wait_all_answer_at(target)
    })
}

/// Has the ConfigMap tell of so many Pods.
fn write_config_map(cluster: &Cluster, verb: &str, pods: usize) -> Result<()> {
    let mut slices = Vec::new();
    wait_at_most(PATIENCE, "EndpointSlices", || {
        slices = list(
            cluster,
            &["endpointslices", "--selector", &format!("kubernetes.io/service-name={WORKLOAD}")],
        )?;
        let endpoints = slices.iter().filter_map(|slice| slice["endpoints"].as_array()).map(Vec::len);
        Ok(endpoints.sum::<usize>() == pods)
    })?;
    let nodes = list(cluster, &["nodes"])?;
    let nodes = nodes.iter().map(|node| {
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": node["metadata"]["name"], "labels": node["metadata"]["labels"]},
            "status": {"addresses": node["status"]["addresses"]},
        })
    });
    // The API server has one for clients inside.
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": WORKLOAD, "namespace": "default", "annotations": {"trigon.dev/dsr": "true"}},
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "trigon.dev/lb",
            "ports": cluster.get(&["service", WORKLOAD])?["spec"]["ports"],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": VIP.v4}]}},
    });
    let all: Vec<_> = nodes.chain(slices).chain([service]).map(|object| object.to_string()).collect();
    let dir = cluster.testbed.dir();
    let (objects, config_map) = (dir.join("objects.yaml"), dir.join("config-map.json"));
    fs::write(&objects, all.join("\n---\n")).context("writing the objects")?;
    let make =
        ["create", "configmap", CONFIG_MAP, "--namespace", NAMESPACE, "--dry-run=client", "--output=json"];
    let from = format!("--from-file={}", objects.display());
    fs::write(&config_map, cluster.kubectl(&[&make[..], &[from.as_str()]].concat())?)
        .context("writing the ConfigMap")?;
    cluster.kubectl(&[verb, "-f", &config_map.display().to_string()]).map(drop)
}

fn list(cluster: &Cluster, words: &[&str]) -> Result<Vec<Value>> {
    Ok(cluster.get(words)?["items"].as_array().context("a list")?.clone())
}
