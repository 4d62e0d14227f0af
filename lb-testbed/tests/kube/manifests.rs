//! The manifests: a real API server takes them, and `trigon` understands what they start it with.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use lb_testbed::{
    Config, Testbed,
    kubernetes::{ApiServer, Programs},
};
use lb_userspace::cli::args::{AgentArgs, Cli, Command, Role, SourceArg};
use serde_json::{Map, Value, json};

use super::turns;

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests");
const IMAGE: &str = concat!("localhost/trigon:", env!("CARGO_PKG_VERSION"));
const LABEL: &str = "trigon.dev/director";
/// What `manifests/agents/agent.yaml` explains.
const CAPABILITIES: [&str; 6] = ["BPF", "NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW", "PERFMON", "SYS_NICE"];
/// Of an agent that stops, beside what its arguments say: for sessions to close, and to spare.
const CLOSING: Duration = Duration::from_secs(5);

#[test]
fn an_api_server_takes_the_manifests_and_trigon_their_arguments() -> Result<()> {
    let _turn = turns::beside_others();
    let Some(programs) = Programs::find_or_skip()? else { return Ok(()) };
    let config = Config { directors: 1, nodes: 1, pods_per_node: 1, clients: 1, ..Config::l3() };
    let testbed = Testbed::new(config)?;
    let api_server = ApiServer::start(&testbed, programs)?;
    for kustomization in kustomizations(testbed.dir())? {
        let kustomization = kustomization.display().to_string();
        let objects = apply_dry(&api_server, &kustomization)?;
        let of_kustomization = || format!("-k {kustomization}");
        check_workloads(&api_server, &objects).with_context(of_kustomization)?;
        check_one_agent_on_each_node(&objects).with_context(of_kustomization)?;
    }
    Ok(())
}

/// The base and all overlays; and each with all components, in files below `dir`.
fn kustomizations(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut bases = entries("overlays")?;
    bases.insert(0, Path::new(MANIFESTS).join("base"));
    let components: Vec<_> =
        entries("components")?.into_iter().filter(|path| !path.ends_with("image")).collect();
    ensure!(bases.len() >= 3 && components.len() >= 2, "some are missing: {bases:?}, {components:?}");
    let with_components = bases.iter().enumerate().map(|(number, base)| {
        let path = dir.join(format!("kustomization-{number}"));
        fs::create_dir(&path)?;
        let relative = |to: &PathBuf| path_between(&path, &fs::canonicalize(to)?);
        let components = components.iter().map(relative).collect::<Result<Vec<_>>>()?;
        let kustomization = json!({"resources": [relative(base)?], "components": components});
        fs::write(path.join("kustomization.yaml"), kustomization.to_string())?;
        Ok(path)
    });
    let with_components = with_components.collect::<Result<Vec<_>>>()?;
    Ok(bases.into_iter().chain(with_components).collect())
}

/// Kustomize refuses absolute paths.
pub fn path_between(from: &Path, to: &Path) -> Result<PathBuf> {
    let up = fs::canonicalize(from)?.components().count() - 1;
    Ok(PathBuf::from("../".repeat(up)).join(to.strip_prefix("/")?))
}

fn entries(kind: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(Path::new(MANIFESTS).join(kind))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// The objects as the API server would keep them.
fn apply_dry(api_server: &ApiServer, kustomization: &str) -> Result<Vec<Value>> {
    let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-o", "json"];
    let told = api_server.kubectl(&[&apply[..], &["-k", kustomization]].concat(), "")?;
    let list: Value = serde_json::from_str(&told).context("what kubectl prints")?;
    Ok(list["items"].as_array().context("a list")?.clone())
}

fn of_kind<'a>(objects: &'a [Value], kinds: &'a [&str]) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| kinds.iter().any(|kind| object["kind"] == *kind))
}

fn check_workloads(api_server: &ApiServer, objects: &[Value]) -> Result<()> {
    let workloads: Vec<_> = of_kind(objects, &["DaemonSet", "Deployment"]).collect();
    ensure!(!workloads.is_empty(), "no DaemonSets");
    for workload in workloads {
        let name = text(&workload["metadata"]["name"])?;
        let pod = &workload["spec"]["template"]["spec"];
        check_pod(api_server, objects, pod).with_context(|| format!("{name}: {pod:#}"))?;
    }
    Ok(())
}

fn check_pod(api_server: &ApiServer, objects: &[Value], pod: &Value) -> Result<()> {
    let account = text(&pod["serviceAccountName"])?;
    let is_there = of_kind(objects, &["ServiceAccount"]).any(|other| other["metadata"]["name"] == account);
    // Each namespace has one of that name, without rights.
    let is_nobody = account == "default" && pod["automountServiceAccountToken"] == false;
    ensure!(is_there || is_nobody, "no ServiceAccount {account}");
    api_server.kubectl(&["get", "priorityclass", text(&pod["priorityClassName"])?], "")?;
    let [container] = list(&pod["containers"]) else { bail!("not one container") };
    ensure!(container["image"] == IMAGE, "the image is not {IMAGE}");
    let security = &container["securityContext"];
    ensure!(
        security["privileged"] != true && security["capabilities"]["drop"] == json!(["ALL"]),
        "privileged"
    );
    let cli = parse_container(container)?;
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        if let Some(command) = container[probe]["exec"]["command"].as_array() {
            let asked = parse_words(command).with_context(|| probe.to_owned())?;
            ensure!(asked.socket == cli.socket, "{probe} asks at {}", asked.socket.display());
        }
    }
    let given: BTreeSet<_> =
        list(&security["capabilities"]["add"]).iter().filter_map(Value::as_str).collect();
    if let Command::Agent(agent) = &cli.command {
        let more = given.difference(&BTreeSet::from(CAPABILITIES)).copied().collect::<Vec<_>>();
        ensure!(
            given.is_superset(&BTreeSet::from(CAPABILITIES))
                && [vec![], vec!["SYS_RESOURCE"]].contains(&more),
            "{given:?}"
        );
        check_agent(pod, container, &cli.socket, agent)?;
    } else {
        ensure!(given.is_empty(), "capabilities: {given:?}");
    }
    Ok(())
}

/// The image's entrypoint, and the arguments.
fn parse_container(container: &Value) -> Result<Cli> {
    parse_words(&[&[Value::from("/trigon")][..], list(&container["args"])].concat())
}

/// As the kubelet would start it on a node.
fn parse_words(words: &[Value]) -> Result<Cli> {
    let words = words.iter().map(|word| Ok(text(word)?.replace("$(NODE_NAME)", "node1")));
    let words = words.collect::<Result<Vec<_>>>()?;
    ensure!(words.first().is_some_and(|program| program == "/trigon"), "another program: {words:?}");
    Ok(Cli::try_parse_from(words)?)
}

/// Where it writes and reads there is something of the node, and it has the time that it takes to stop.
fn check_agent(pod: &Value, container: &Value, socket: &Path, agent: &AgentArgs) -> Result<()> {
    let is_mounted = |path: &Path, kind: &str| {
        let is_above = |mount: &&Value| mount["mountPath"].as_str().is_some_and(|dir| path.starts_with(dir));
        let mount = list(&container["volumeMounts"]).iter().find(is_above);
        let mount = mount.filter(|mount| kind != "hostPath" || mount["readOnly"] != true);
        let volume =
            mount.and_then(|mount| list(&pod["volumes"]).iter().find(|v| v["name"] == mount["name"]));
        volume.is_some_and(|volume| volume[kind].is_object())
    };
    for path in [socket, &agent.pin.pin_dir] {
        ensure!(is_mounted(path, "hostPath"), "{} is not on the node", path.display());
    }
    if let SourceArg::Directory(dir) = &agent.source {
        ensure!(is_mounted(dir, "configMap"), "--source {}: nothing is mounted there", dir.display());
    }
    ensure!(pod["hostNetwork"] == true, "it is not in the node's network namespace");
    ensure!(agent.node_name == "node1", "--node-name is not the node's: {}", agent.node_name);
    let grace = Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().context("a time to end")?);
    let needed = agent.announcing.drain_time + agent.announcing.settle_time + CLOSING;
    ensure!(grace >= needed, "it is killed after {grace:?}, and may take {needed:?}");
    Ok(())
}

/// Whatever label a node has, it gets one agent, in the roles that other agents take it to have.
fn check_one_agent_on_each_node(objects: &[Value]) -> Result<()> {
    for label in [None, Some(""), Some("true"), Some("false")] {
        let labels = Map::from_iter(label.map(|value| (LABEL.to_owned(), value.into())));
        let pods = of_kind(objects, &["DaemonSet"]).map(|set| &set["spec"]["template"]["spec"]);
        let mut chosen = Vec::new();
        for pod in pods {
            if is_chosen(pod, &labels)? {
                chosen.push(pod);
            }
        }
        let [pod] = chosen.as_slice() else { bail!("label {label:?}: {} agents", chosen.len()) };
        let Command::Agent(agent) = parse_container(&pod["containers"][0])?.command else {
            bail!("no agent")
        };
        let is_labelled = matches!(label, Some("" | "true"));
        let is_director = agent.role.contains(&Role::Director);
        ensure!(
            is_director == (is_labelled || agent.meaning.all_directors),
            "label {label:?}: {:?}",
            agent.role
        );
        ensure!(agent.role.contains(&Role::Node), "label {label:?}: Pods there get nothing");
    }
    Ok(())
}

/// By the node affinity that it requires, as far as it is used here.
fn is_chosen(pod: &Value, labels: &Map<String, Value>) -> Result<bool> {
    let required = &pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = list(&required["nodeSelectorTerms"]);
    ensure!(terms.len() <= 1, "several terms: {required}");
    let mut expressions = terms.iter().flat_map(|term| list(&term["matchExpressions"]));
    expressions.try_fold(true, |is_chosen, expression| {
        let label = expression["key"].as_str().and_then(|key| labels.get(key));
        let is_in = label.is_some_and(|label| list(&expression["values"]).contains(label));
        match expression["operator"].as_str() {
            Some("In") => Ok(is_chosen && is_in),
            Some("NotIn") => Ok(is_chosen && !is_in),
            _ => bail!("another operator: {expression}"),
        }
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("{value} is no text"))
}
