//! Finds the eBPF object that `cargo xtask build-ebpf` made and tells the
//! compiler where it is. Without one, the programs are built with an empty
//! object, and the agent says what is missing.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed=TRIGON_EBPF_OBJECT");
    let ebpf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lb-ebpf");
    let object = env::var_os("TRIGON_EBPF_OBJECT")
        .map_or_else(|| ebpf.join("target/bpfel-unknown-none/release/trigon"), PathBuf::from);
    if object.exists() {
        println!("cargo:rerun-if-changed={}", object.display());
        println!("cargo:rustc-env=TRIGON_EBPF_OBJECT={}", object.display());
        return Ok(());
    }
    println!(
        "cargo:warning=the eBPF object {} is missing, and `trigon agent` will not start: \
         run `cargo xtask build-ebpf`, then build again",
        object.display()
    );
    // Cargo takes a file that is missing for a changed one and would compile the
    // crate at every build. The object appears below this directory.
    println!("cargo:rerun-if-changed={}", ebpf.display());
    let empty = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("no-object");
    fs::write(&empty, "")?;
    println!("cargo:rustc-env=TRIGON_EBPF_OBJECT={}", empty.display());
    Ok(())
}
