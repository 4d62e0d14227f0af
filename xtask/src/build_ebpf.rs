//! `cargo xtask build-ebpf`

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    shell::{run_quietly, say, workspace_root},
    toolchain::Toolchain,
};

const TARGET: &str = "bpfel-unknown-none";
const FOR_BPF: &[&str] = &["--release", "--locked", "--target", TARGET, "-Zbuild-std=core"];

/// Build the objects; returns the directory they are in.
pub fn run() -> Result<PathBuf> {
    let toolchain = Toolchain::find()?;
    say(format!("building eBPF with {}", toolchain.describe()));
    run_quietly(toolchain.cargo().arg("build").args(FOR_BPF).current_dir(workspace_root().join("lb-ebpf")))?;
    let objects = workspace_root().join("lb-ebpf/target").join(TARGET).join("release");
    say(format!("the objects are in {}", objects.display()));
    Ok(objects)
}

/// Lints of the programs. Distributions have no clippy that goes with their
/// compiler for BPF.
pub fn lint() -> Result<()> {
    let Some(mut clippy) = Toolchain::find()?.clippy() else {
        say("skipped: the toolchain that builds eBPF has no clippy; only the library was linted");
        return Ok(());
    };
    say("cargo clippy, for BPF");
    clippy.arg("--quiet").args(FOR_BPF).args(["--", "-D", "warnings"]);
    run_quietly(clippy.current_dir(workspace_root().join("lb-ebpf")))
}
