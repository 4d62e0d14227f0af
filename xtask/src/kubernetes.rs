//! `cargo xtask kubernetes`

use std::{fs, process::Command};

use anyhow::{Context, Result, bail};
use lb_testbed::kubernetes::{built_program, find_go, module_dir};

use crate::shell::{run_quietly, say};

const WITHOUT_GO: &str =
    "tests with Kubernetes need Go 1.21 or newer (https://go.dev/dl), or KUBEBUILDER_ASSETS";

pub fn run() -> Result<()> {
    if !build()? {
        bail!("{WITHOUT_GO}");
    }
    say(format!("Kubernetes is in {}", built_program()?.display()));
    Ok(())
}

/// Builds the programs, unless that was done before, or `KUBEBUILDER_ASSETS` names others. False: there is no Go,
/// which in CI is an error.
pub fn build() -> Result<bool> {
    let built = built_program()?;
    if built.is_file() || std::env::var_os("KUBEBUILDER_ASSETS").is_some() {
        return Ok(true);
    }
    let Some(go) = find_go() else {
        if std::env::var_os("CI").is_some() {
            bail!("{WITHOUT_GO}");
        }
        say(format!("skipped: {WITHOUT_GO}"));
        return Ok(false);
    };
    say("building the programs of Kubernetes (six minutes the first time)");
    let dir = built.parent().context("the cache has no directory")?;
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    // Renamed when complete: a build that was interrupted is none.
    let partial = dir.join("kube.partial");
    run_quietly(
        Command::new(go)
            .current_dir(module_dir())
            .env("CGO_ENABLED", "0")
            // The repository may be somebody else's, whom git does not trust.
            .args(["build", "-buildvcs=false", "-trimpath", "-gcflags=all=-dwarf=false"])
            .arg(format!("-ldflags=-s -w {}", version_flags()?))
            .arg("-o")
            .arg(&partial)
            .arg("."),
    )?;
    fs::rename(&partial, &built).with_context(|| format!("renaming {}", partial.display()))?;
    Ok(true)
}

/// So that the programs say which version they are: that of `k8s.io/kubernetes` in `go.mod`.
fn version_flags() -> Result<String> {
    let path = module_dir().join("go.mod");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let version = text.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    let version = version.context("go.mod requires no k8s.io/kubernetes")?;
    let mut parts = version.trim_start_matches('v').split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let flags = [("gitVersion", version), ("gitMajor", major), ("gitMinor", minor)];
    let flag = |(name, value)| format!("-X k8s.io/component-base/version.{name}={value}");
    Ok(flags.map(flag).join(" "))
}
