//! `cargo xtask helm`: the Helm chart, made of the manifests that kustomize has.

use std::{fs, process::Command};

use anyhow::{Context, Result, bail};
use lb_testbed::kubernetes::{Programs, find_helm, write_chart};

use crate::{
    kubernetes,
    shell::{run_quietly, say, workspace_root},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub fn run() -> Result<()> {
    if !kubernetes::build()? {
        bail!("{}", kubernetes::WITHOUT_GO);
    }
    let target = workspace_root().join("target");
    let chart = target.join("helm/trigon");
    if chart.exists() {
        fs::remove_dir_all(&chart).with_context(|| format!("removing {}", chart.display()))?;
    }
    write_chart(&Programs::find()?, &chart)?;
    let helm = find_helm()?;
    run_quietly(Command::new(&helm).args(["lint", "--strict", "--quiet"]).arg(&chart))?;
    run_quietly(Command::new(&helm).arg("package").arg(&chart).arg("--destination").arg(&target))?;
    say(format!("the chart is in {}", target.join(format!("trigon-{VERSION}.tgz")).display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use lb_testbed::kubernetes::manifests_dir;

    use super::*;

    #[test]
    fn the_chart_has_the_version_of_this_release() {
        let path = manifests_dir().join("helm/Chart.yaml");
        let text = fs::read_to_string(&path).expect("the chart");
        for line in [format!("version: {VERSION}"), format!("appVersion: {VERSION}")] {
            assert!(text.lines().any(|other| other == line), "{}: no line `{line}`", path.display());
        }
    }
}
