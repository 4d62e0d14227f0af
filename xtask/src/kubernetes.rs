//! `cargo xtask kubernetes`

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use lb_testbed::kubernetes::{HELM, HELM_VERSION, built_helm, built_program, find_go, module_dir};

use crate::shell::{run_quietly, say};

pub const WITHOUT_GO: &str = "Kubernetes and Helm are built with Go 1.21 or newer (https://go.dev/dl); KUBEBUILDER_ASSETS \
                              may name programs of Kubernetes instead";

pub fn run() -> Result<()> {
    if !build()? {
        bail!("{WITHOUT_GO}");
    }
    say(format!("Kubernetes is in {}, Helm in {}", built_program()?.display(), built_helm()?.display()));
    Ok(())
}

/// Builds the programs, but for what was built before, and for those of Kubernetes if `KUBEBUILDER_ASSETS` names others.
/// False: there is no Go, which in CI is an error.
pub fn build() -> Result<bool> {
    let (kube, helm) = (built_program()?, built_helm()?);
    let has_kube = kube.is_file() || std::env::var_os("KUBEBUILDER_ASSETS").is_some();
    if has_kube && helm.is_file() {
        return Ok(true);
    }
    let Some(go) = find_go() else { return do_without_go(std::env::var_os("CI").is_some()) };
    if !has_kube {
        build_kube(&go, &kube)?;
    }
    if !helm.is_file() {
        build_helm(&go, &helm)?;
    }
    Ok(true)
}

/// False, for who builds. In CI, where all is to be tested, it is an error.
fn do_without_go(is_ci: bool) -> Result<bool> {
    if is_ci {
        bail!("{WITHOUT_GO}");
    }
    say(format!("skipped: tests with Kubernetes: {WITHOUT_GO}"));
    Ok(false)
}

fn build_kube(go: &Path, built: &Path) -> Result<()> {
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
    fs::rename(&partial, built).with_context(|| format!("renaming {}", partial.display()))
}

fn build_helm(go: &Path, built: &Path) -> Result<()> {
    say("building Helm (minutes the first time)");
    let dir = built.parent().context("the cache has no directory")?;
    fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let partial = dir.join("partial");
    let package = format!("{HELM}@{HELM_VERSION}");
    run_quietly(
        Command::new(go)
            // Not within a module of ours.
            .current_dir(dir)
            .env("CGO_ENABLED", "0")
            .env("GOBIN", &partial)
            .args(["install", "-trimpath", "-gcflags=all=-dwarf=false", "-ldflags=-s -w", &package]),
    )?;
    fs::rename(partial.join("helm"), built).with_context(|| format!("renaming {}", partial.display()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_in_ci_there_has_to_be_go() {
        assert!(!do_without_go(false).unwrap());
        assert_eq!(do_without_go(true).unwrap_err().to_string(), WITHOUT_GO);
    }
}
