//! The Helm chart: with its values it gives the objects that kustomize gives.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail, ensure};
use lb_testbed::{
    kubernetes::{Programs, find_helm_or_skip, kustomize, manifests_dir, write_chart},
    run,
};
use serde_json::{Value, json};

use super::{manifests::path_between, turns};

/// Values, as arguments; and the kustomization that gives the same.
type Row = (&'static [&'static str], fn() -> Kustomization);

/// A kustomization of the manifests, with what a user adds to it.
struct Kustomization {
    base: &'static str,
    components: &'static [&'static str],
    more: Value,
}

fn plain(base: &'static str) -> Kustomization {
    with_components(base, &[])
}

fn with_components(base: &'static str, components: &'static [&'static str]) -> Kustomization {
    Kustomization { base, components, more: json!({}) }
}

/// The base, with this argument more for the containers of these kinds.
fn with_argument(kinds: &str, argument: &str) -> Kustomization {
    let patch = json!([{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": argument}]);
    let more = json!({"patches": [{"target": {"kind": kinds}, "patch": patch.to_string()}]});
    Kustomization { base: "base", components: &[], more }
}

const ROWS: &[Row] = &[
    (&[], || plain("base")),
    (&["--set=allDirectors=true"], || plain("overlays/all-directors")),
    (&["--set-json=agent.extraCapabilities=[\"SYS_RESOURCE\"]"], || with_components("base", &["linux-5.10"])),
    (
        &[
            "--set=allDirectors=true",
            "--set-json=agent.extraCapabilities=[\"SYS_RESOURCE\"]",
            "--set-json=agent.seLinuxOptions={\"type\": \"spc_t\", \"level\": \"s0\"}",
        ],
        || with_components("overlays/all-directors", &["linux-5.10", "selinux"]),
    ),
    (&["--set=image.repository=registry.example:5000/trigon,image.tag=1.2.3"], || {
        let image = json!({
            "name": "localhost/trigon", "newName": "registry.example:5000/trigon", "newTag": "1.2.3",
        });
        Kustomization { base: "base", components: &[], more: json!({"images": [image]}) }
    }),
    (&["--set-json=agent.extraArgs=[\"--interface=eth1\"]"], || {
        with_argument("DaemonSet", "--interface=eth1")
    }),
    (&["--set=defaultClass=true"], || with_argument("DaemonSet|Deployment", "--default-class")),
];

#[test]
fn helm_and_kustomize_give_the_same_objects() -> Result<()> {
    let _turn = turns::beside_others();
    let Some(rig) = Rig::new()? else { return Ok(()) };
    for (values, kustomization) in ROWS {
        let from_helm = rig.render(values).with_context(|| format!("{values:?}"))?;
        let from_kustomize = rig.kustomize(&kustomization())?;
        check_same(&from_helm, &from_kustomize).with_context(|| format!("{values:?}"))?;
    }
    Ok(())
}

#[test]
fn the_chart_leaves_out_the_namespace_of_its_release_and_refuses_what_it_does_not_know() -> Result<()> {
    let _turn = turns::beside_others();
    let Some(rig) = Rig::new()? else { return Ok(()) };
    let mut expected = rig.kustomize(&plain("base"))?;
    expected.retain(|object| object["kind"] != "Namespace");
    check_same(&rig.render(&["--namespace=trigon-system"])?, &expected)?;
    let told = match rig.render(&["--set=allDirector=true"]) {
        Ok(_) => bail!("a value is taken that there is not"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(told.contains("allDirector") && told.contains("not allowed"), "{told}");
    Ok(())
}

/// The chart in a directory, which goes with it.
struct Rig {
    programs: Programs,
    helm: PathBuf,
    dir: PathBuf,
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Rig {
    fn new() -> Result<Option<Self>> {
        let Some(programs) = Programs::find_or_skip()? else { return Ok(None) };
        let Some(helm) = find_helm_or_skip()? else { return Ok(None) };
        let thread = std::thread::current();
        let name = format!("trigon-chart-{}-{}", std::process::id(), thread.name().unwrap_or_default());
        let dir = std::env::temp_dir().join(name.replace("::", "-"));
        fs::create_dir_all(&dir)?;
        let this = Self { programs, helm, dir };
        write_chart(&this.programs, &this.chart())?;
        Ok(Some(this))
    }

    fn chart(&self) -> PathBuf {
        self.dir.join("trigon")
    }

    /// What Helm would install, with the oldest Kubernetes that it is for.
    fn render(&self, values: &[&str]) -> Result<Vec<Value>> {
        let mut command = Command::new(&self.helm);
        command.args(["template", "release"]).arg(self.chart());
        command.args(["--include-crds", "--kube-version=1.30.0"]).args(values);
        // Its caches and settings are in the home.
        command.env("HOME", &self.dir);
        parse_objects(&run(command, "")?)
    }

    fn kustomize(&self, kustomization: &Kustomization) -> Result<Vec<Value>> {
        let dir = self.dir.join("kustomization");
        fs::create_dir_all(&dir)?;
        let relative = |path: &str| path_between(&dir, &fs::canonicalize(manifests_dir().join(path))?);
        let components = kustomization.components.iter();
        let components = components.map(|name| relative(&format!("components/{name}")));
        let mut text = kustomization.more.clone();
        text["resources"] = json!([relative(kustomization.base)?]);
        text["components"] = json!(components.collect::<Result<Vec<_>>>()?);
        fs::write(dir.join("kustomization.yaml"), text.to_string())?;
        parse_objects(&kustomize(&self.programs, &dir)?)
    }
}

/// Sorted by kind and name.
fn parse_objects(text: &str) -> Result<Vec<Value>> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(text).context("objects as YAML")?;
    objects.iter_mut().for_each(unify_numbers);
    objects.sort_by_cached_key(describe);
    Ok(objects)
}

/// Of one value there are two forms: 1 and 1.0.
fn unify_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => *value = json!(number.as_f64()),
        Value::Array(items) => items.iter_mut().for_each(unify_numbers),
        Value::Object(fields) => fields.values_mut().for_each(unify_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn describe(object: &Value) -> String {
    format!("{} {}/{}", object["kind"], object["metadata"]["namespace"], object["metadata"]["name"])
}

fn check_same(one: &[Value], other: &[Value]) -> Result<()> {
    let names = |objects: &[Value]| objects.iter().map(describe).collect::<Vec<_>>();
    ensure!(names(one) == names(other), "{:?}\n{:?}", names(one), names(other));
    ensure!(one.len() > 10, "some are missing: {:?}", names(one));
    for (one, other) in one.iter().zip(other) {
        ensure!(one == other, "Helm: {one:#}\nkustomize: {other:#}");
    }
    Ok(())
}
