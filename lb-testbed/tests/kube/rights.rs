//! An agent needs all rights that the manifests give it: without any one of them it names the kind that it cannot
//! read.

use anyhow::{Context, Result, ensure};
use lb_testbed::Triangle;
use serde_json::{Value, json};

use super::{PATIENCE, has_problem, is_well, wait_for_one, with_api_server};

const AGENT: &str = "node1";
/// Kind and namespace of the objects that give rights.
const ROLES: [(&str, &[&str]); 2] = [("clusterrole", &[]), ("role", &["--namespace=trigon-system"])];
/// By the name that rights have for them.
const KINDS: [(&str, &str); 10] = [
    ("services", "Service"),
    ("nodes", "Node"),
    ("endpointslices", "EndpointSlice"),
    ("secrets", "Secret"),
    ("addresspools", "AddressPool"),
    ("bgppeers", "BgpPeer"),
    ("bgpadvertisements", "BgpAdvertisement"),
    ("l2advertisements", "L2Advertisement"),
    ("bfdprofiles", "BfdProfile"),
    ("communities", "Community"),
];

#[test]
fn every_right_of_an_agent_is_needed() -> Result<()> {
    with_api_server(|triangle| {
        // A streaming list is a watch.
        check_each(triangle, "watch")?;
        let api_server = triangle.api_server()?;
        api_server.kill()?;
        api_server.restart_with(&["--feature-gates=WatchList=false"])?;
        check_each(triangle, "list")
    })
}

/// Takes this right away from one resource after the other.
fn check_each(triangle: &mut Triangle, verb: &str) -> Result<()> {
    let mut taken = Vec::new();
    for (role, scope) in ROLES {
        let get = [&["get", role, "trigon-agent", "-o", "json"], scope].concat();
        let all: Value = serde_json::from_str(&triangle.api_server()?.kubectl(&get, "")?)?;
        let resources: Vec<String> = rules(&all).flat_map(|rule| texts(&rule["resources"])).collect();
        for resource in &resources {
            apply(triangle, &without(&all, resource, verb))?;
            triangle.agent(AGENT)?.kill()?;
            triangle.start_agent(AGENT, &[])?;
            let (_, kind) = KINDS.iter().find(|(name, _)| name == resource).context("a kind that is read")?;
            let is_named = |status: &Value| {
                has_problem(status, &format!("kind {kind}")) && has_problem(status, "does not let us read it")
            };
            wait_for_one(triangle, AGENT, PATIENCE, &format!("no right to {verb} {resource}"), is_named)?;
            apply(triangle, &without(&all, "", ""))?;
        }
        taken.extend(resources);
    }
    taken.sort();
    let mut wanted: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
    wanted.sort_unstable();
    ensure!(taken == wanted, "rights for {taken:?}, kinds that are read: {wanted:?}");
    wait_for_one(triangle, AGENT, PATIENCE, "all rights are there again", is_well).map(drop)
}

fn apply(triangle: &mut Triangle, role: &Value) -> Result<()> {
    triangle.api_server()?.kubectl(&["replace", "-f", "-"], &role.to_string()).map(drop)
}

/// The same role, but for one right.
fn without(role: &Value, resource: &str, verb: &str) -> Value {
    let mut kept_rules = Vec::new();
    for rule in rules(role) {
        for own in texts(&rule["resources"]) {
            let is_kept = |other: &String| own != resource || other != verb;
            let verbs: Vec<_> = texts(&rule["verbs"]).into_iter().filter(is_kept).collect();
            if !verbs.is_empty() {
                kept_rules.push(json!({"apiGroups": rule["apiGroups"], "resources": [own], "verbs": verbs}));
            }
        }
    }
    let mut changed = role.clone();
    changed["rules"] = kept_rules.into();
    // Whatever the version is by now.
    if let Some(meta) = changed["metadata"].as_object_mut() {
        meta.remove("resourceVersion");
    }
    changed
}

fn rules(role: &Value) -> impl Iterator<Item = &Value> {
    role["rules"].as_array().into_iter().flatten()
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
}
