//! Finds the eBPF object that `cargo xtask build-ebpf` made and tells the
//! compiler where it is.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=TRIGON_EBPF_OBJECT");
    let object = env::var_os("TRIGON_EBPF_OBJECT").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../lb-ebpf/target/bpfel-unknown-none/release/trigon")
    });
    println!("cargo:rerun-if-changed={}", object.display());
    assert!(
        object.exists(),
        "\n\nthe eBPF object {} is missing: run `cargo xtask build-ebpf` first\n\n",
        object.display()
    );
    println!("cargo:rustc-env=TRIGON_EBPF_OBJECT={}", object.display());
}
