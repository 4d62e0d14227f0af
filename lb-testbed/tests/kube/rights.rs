//! Agents and controllers need all rights that the manifests give them: without any one of them they say what they
//! cannot do.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_testbed::{Triangle, kubernetes::ApiServer};
use serde_json::{Value, json};

use super::{
    PATIENCE,
    common::wait_at_most,
    controller::{self, Rig},
    has_problem, has_warning, is_well, wait_for_one, with_api_server,
};

const AGENT: &str = "node1";
/// Kind and namespace of the objects that give rights.
const ROLES: [(&str, &[&str]); 2] = [("clusterrole", &[]), ("role", &["--namespace=trigon-system"])];
/// What an agent reads, by the name that rights have for it.
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
/// What a controller does, and what its log has without that right.
const DONE: [(&str, &str, &str); 12] = [
    ("services", "watch", "kind Service"),
    ("nodes", "watch", "kind Node"),
    ("agentreports", "watch", "kind AgentReport"),
    ("services", "list", "kind Service"),
    ("nodes", "list", "kind Node"),
    ("agentreports", "list", "kind AgentReport"),
    ("services/status", "patch", "its status cannot be written"),
    ("events", "create", "no Event could be written"),
    ("events", "patch", "no Event could be written"),
    ("leases", "create", "Lease trigon-controller cannot be read or written"),
    ("leases", "get", "Lease trigon-controller cannot be read or written"),
    ("leases", "update", "Lease trigon-controller cannot be read or written"),
];

#[test]
fn every_right_of_an_agent_is_needed() -> Result<()> {
    with_api_server(|triangle| {
        // A streaming list is a watch.
        check_agent(triangle, "watch")?;
        check_reports(triangle)?;
        let api_server = triangle.api_server()?;
        api_server.kill()?;
        api_server.restart_with(&["--feature-gates=WatchList=false"])?;
        check_agent(triangle, "list")
    })
}

/// Takes this right away from one resource after the other.
fn check_agent(triangle: &mut Triangle, verb: &str) -> Result<()> {
    let all = rights_of(triangle.api_server()?, "trigon-agent")?;
    let rights: Vec<_> = all.iter().filter(|right| right.verb == verb).collect();
    for right in &rights {
        let resource = &right.resource;
        right.take(triangle.api_server()?)?;
        triangle.agent(AGENT)?.kill()?;
        triangle.start_agent(AGENT, &[])?;
        let (_, kind) = KINDS.iter().find(|(name, _)| name == resource).context("a kind that is read")?;
        let is_named = |status: &Value| {
            has_problem(status, &format!("kind {kind}")) && has_problem(status, "does not let us read it")
        };
        wait_for_one(triangle, AGENT, PATIENCE, &format!("no right to {verb} {resource}"), is_named)?;
        right.give_back(triangle.api_server()?)?;
    }
    let mut taken: Vec<_> = rights.iter().map(|right| right.resource.as_str()).collect();
    taken.sort_unstable();
    let mut wanted: Vec<_> = KINDS.iter().map(|(name, _)| *name).collect();
    wanted.sort_unstable();
    ensure!(taken == wanted, "rights for {taken:?}, kinds that are read: {wanted:?}");
    wait_for_one(triangle, AGENT, PATIENCE, "all rights are there again", is_well).map(drop)
}

/// Takes away one after the other of the rights by which an agent reports, which is all that it writes.
fn check_reports(triangle: &mut Triangle) -> Result<()> {
    let all = rights_of(triangle.api_server()?, "trigon-agent")?;
    let rights: Vec<_> =
        all.iter().filter(|right| !["list", "watch"].contains(&right.verb.as_str())).collect();
    let named: Vec<_> = rights.iter().map(|right| (right.resource.as_str(), right.verb.as_str())).collect();
    ensure!(named == [("agentreports", "create"), ("agentreports", "patch")], "{named:?}");
    let told = format!("AgentReport trigon-system/{AGENT} cannot be written");
    for right in rights {
        let api_server = triangle.api_server()?;
        right.take(api_server)?;
        let delete = ["delete", "agentreport", AGENT, "--namespace=trigon-system", "--ignore-not-found"];
        api_server.kubectl(&delete, "")?;
        triangle.agent(AGENT)?.kill()?;
        triangle.start_agent(AGENT, &[])?;
        // And all else goes on.
        let is_told = |status: &Value| is_well(status) && has_warning(status, &told);
        wait_for_one(triangle, AGENT, PATIENCE, &format!("no right to {}", right.verb), is_told)?;
        right.give_back(triangle.api_server()?)?;
        let is_silent = |status: &Value| is_well(status) && !has_warning(status, &told);
        wait_for_one(triangle, AGENT, PATIENCE, "it reports again", is_silent)?;
    }
    Ok(())
}

#[test]
fn every_right_of_a_controller_is_needed() -> Result<()> {
    controller::with_rig(&[], |rig| {
        let all = rights_of(&rig.api_server, "trigon-controller")?;
        let mut given: Vec<_> =
            all.iter().map(|right| (right.resource.as_str(), right.verb.as_str())).collect();
        given.sort_unstable();
        let mut needed: Vec<_> = DONE.iter().map(|(resource, verb, _)| (*resource, *verb)).collect();
        needed.sort_unstable();
        ensure!(given == needed, "rights {given:?}, needed {needed:?}");
        // An API server that has just heard of a kind answers "too many requests"; kubectl asks again.
        rig.api_server.kubectl(&["get", "agentreports", "--namespace=trigon-system"], "")?;
        let log = do_everything(rig, "with-all", has_given_all)?;
        let complaints = DONE.iter().filter(|(_, _, told)| log.contains(told)).count();
        ensure!(complaints == 0 && !log.contains("problem:"), "with all rights: {log}");

        let (lists, others): (Vec<&Right>, Vec<_>) = all.iter().partition(|right| right.verb == "list");
        others.into_iter().try_for_each(|right| check_controller(rig, right))?;
        rig.api_server.kill()?;
        rig.api_server.restart_with(&["--feature-gates=WatchList=false"])?;
        lists.into_iter().try_for_each(|right| check_controller(rig, right))
    })
}

fn check_controller(rig: &mut Rig, right: &Right) -> Result<()> {
    let told = DONE.iter().find(|(resource, verb, _)| right.resource == *resource && right.verb == *verb);
    let (resource, verb, told) = told.context("a right that is needed")?;
    right.take(&rig.api_server)?;
    let label = format!("without-{verb}-{}", resource.replace('/', "-"));
    // Addresses are given whether agents report or not.
    let is_optional = *resource == "agentreports";
    do_everything(rig, &label, |log| log.contains(told) && (!is_optional || has_given_all(log)))
        .with_context(|| label.clone())?;
    right.give_back(&rig.api_server)
}

fn has_given_all(log: &str) -> bool {
    log.matches("dns: 192.0.2.11").count() == 2
}

/// Has a new controller do all that there is to do, as far as it can, until its log is as wanted.
fn do_everything(rig: &mut Rig, label: &str, is_so: impl Fn(&str) -> bool) -> Result<String> {
    for gone in ["lease/trigon-controller", "service/web", "service/dns"] {
        let scope =
            if gone.starts_with("lease") { "--namespace=trigon-system" } else { "--namespace=default" };
        rig.api_server.kubectl(&["delete", gone, scope, "--ignore-not-found"], "")?;
    }
    rig.start_as("director1", label)?;
    // It refuses, gives another one, and refuses again: the second Event is the first one's repetition.
    let steps = [("web", "192.0.2.10"), ("dns", "192.0.2.10"), ("dns", "192.0.2.11")];
    for (name, address) in steps.iter().chain(&steps[1..]) {
        rig.apply(&controller::service(name, address))?;
        let is_done = || {
            let log = rig.log("director1")?;
            let told = rig.get_service(name)?;
            let has_condition = controller::condition(&told).is_some_and(|condition| {
                let asked = format!("{address} ");
                condition["message"].as_str().is_some_and(|text| text.contains(&asked))
            });
            Ok(has_condition || is_so(&log))
        };
        wait_at_most(Duration::from_secs(20), &format!("{name} at {address}"), is_done)?;
    }
    wait_at_most(PATIENCE, "the log", || Ok(is_so(&rig.log("director1")?)))
        .with_context(|| rig.log("director1").unwrap_or_default())?;
    let log = rig.log("director1")?;
    rig.stop("director1")?;
    Ok(log)
}

/// A right that an account has by one of its roles.
struct Right {
    account: &'static str,
    /// The role as it is.
    role: Value,
    resource: String,
    verb: String,
}

/// All that an account of this name has, by roles of this name.
fn rights_of(api_server: &ApiServer, account: &'static str) -> Result<Vec<Right>> {
    let mut rights = Vec::new();
    for (kind, scope) in ROLES {
        let get = [&["get", kind, account, "-o", "json"], scope].concat();
        let role: Value = serde_json::from_str(&api_server.kubectl(&get, "")?)?;
        for rule in rules(&role) {
            for resource in texts(&rule["resources"]) {
                let of_verb = |verb| Right { account, role: role.clone(), resource: resource.clone(), verb };
                rights.extend(texts(&rule["verbs"]).into_iter().map(of_verb));
            }
        }
    }
    Ok(rights)
}

impl Right {
    /// Returns when the API server knows.
    fn take(&self, api_server: &ApiServer) -> Result<()> {
        self.replace(api_server, &self.resource, "no")
    }

    fn give_back(&self, api_server: &ApiServer) -> Result<()> {
        self.replace(api_server, "", "yes")
    }

    fn replace(&self, api_server: &ApiServer, without: &str, wanted: &str) -> Result<()> {
        let role = role_without(&self.role, without, &self.verb);
        api_server.kubectl(&["replace", "-f", "-"], &role.to_string())?;
        let user = format!("--as=system:serviceaccount:trigon-system:{}", self.account);
        let (resource, subresource) = self.resource.split_once('/').unwrap_or((&self.resource, ""));
        let named = rules(&self.role).filter(|rule| texts(&rule["resources"]).contains(&self.resource));
        let named = named.filter(|rule| texts(&rule["verbs"]).contains(&self.verb));
        let (mut group, mut name) = (String::new(), None);
        for rule in named {
            group = texts(&rule["apiGroups"]).concat();
            name = texts(&rule["resourceNames"]).pop();
        }
        let resource = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        let resource = name.map_or(resource.clone(), |name| format!("{resource}/{name}"));
        let subresource = format!("--subresource={subresource}");
        let ask =
            ["auth", "can-i", &self.verb, &resource, &subresource, &user, "--namespace=trigon-system", "-q"];
        wait_at_most(PATIENCE, &format!("{} {resource}: {wanted}", self.verb), || {
            Ok(api_server.kubectl(&ask, "").is_ok() == (wanted == "yes"))
        })
        .map(drop)
    }
}

/// The same role, but for one right.
fn role_without(role: &Value, resource: &str, verb: &str) -> Value {
    let mut kept_rules = Vec::new();
    for rule in rules(role) {
        for own in texts(&rule["resources"]) {
            let is_kept = |other: &String| own != resource || other != verb;
            let verbs: Vec<_> = texts(&rule["verbs"]).into_iter().filter(is_kept).collect();
            if !verbs.is_empty() {
                let mut rule = rule.clone();
                rule["resources"] = json!([own]);
                rule["verbs"] = json!(verbs);
                kept_rules.push(rule);
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
