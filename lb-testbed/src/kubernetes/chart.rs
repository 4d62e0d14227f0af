//! The Helm chart: what `manifests/helm` has of it, and the objects that kustomize makes of the other manifests. So there is
//! no second copy of them.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use super::programs::{Programs, files_below};
use crate::run::run;

/// Those that its values choose among.
const KUSTOMIZATIONS: [&str; 2] = ["base", "overlays/all-directors"];
/// Helm installs what is in a directory of this name before all else.
const CRDS: &str = "crds";

/// The directory of the manifests.
pub fn manifests_dir() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests"))
}

/// Writes the chart to a directory, in which nothing else is.
pub fn write_chart(programs: &Programs, chart: &Path) -> Result<()> {
    let by_hand = manifests_dir().join("helm");
    for file in files_below(&by_hand)? {
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        write(&chart.join(file.strip_prefix(&by_hand)?), &text)?;
    }
    for kustomization in KUSTOMIZATIONS {
        let path = manifests_dir().join(kustomization);
        let text = kustomize(programs, &path)?;
        let (crds, objects): (Vec<_>, Vec<_>) = text.split("\n---\n").partition(|text| is_definition(text));
        write(&chart.join(CRDS).join("trigon.dev.yaml"), &crds.join("\n---\n"))?;
        let name = path.file_name().context("a kustomization has a name")?;
        let file = Path::new("objects").join(name).with_extension("yaml");
        write(&chart.join(file), &objects.join("\n---\n"))?;
    }
    Ok(())
}

/// What `kubectl apply -k` would apply, as YAML.
pub fn kustomize(programs: &Programs, dir: &Path) -> Result<String> {
    let (program, name) = programs.command("kubectl");
    let mut command = Command::new(program);
    command.args(name).arg("kustomize").arg(dir);
    run(command, "")
}

fn is_definition(object: &str) -> bool {
    object.lines().any(|line| line == "kind: CustomResourceDefinition")
}

fn write(path: &Path, text: &str) -> Result<()> {
    let writing = || format!("writing {}", path.display());
    path.parent().map_or(Ok(()), fs::create_dir_all).with_context(writing)?;
    fs::write(path, text).with_context(writing)
}
