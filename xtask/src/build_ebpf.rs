//! `cargo xtask build-ebpf`

use std::path::PathBuf;

use anyhow::Result;

use crate::{
    shell::{root, run_quietly, say},
    toolchain::Toolchain,
};

const TARGET: &str = "bpfel-unknown-none";

/// Build the objects; returns the directory they are in.
pub fn run() -> Result<PathBuf> {
    let toolchain = Toolchain::find()?;
    say(format!("building eBPF with {}", toolchain.describe()));
    let mut command = toolchain.cargo();
    command.current_dir(root().join("lb-ebpf"));
    run_quietly(command.args(["build", "--release", "--locked", "--target", TARGET, "-Zbuild-std=core"]))?;
    let objects = root().join("lb-ebpf/target").join(TARGET).join("release");
    say(format!("the objects are in {}", objects.display()));
    Ok(objects)
}
