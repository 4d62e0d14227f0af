//! What the verifier thinks of the programs.

use std::path::PathBuf;

use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader,
    programs::{SchedClassifier, Xdp},
};

/// Load both programs in these roles: plain, with the log of drops, and the
/// copy for dry runs. Says how many instructions that took the verifier, on
/// kernels that tell (5.16): `verified: COUNT`.
pub fn verify(roles: u32) -> Result<()> {
    verify_plain(roles)?;
    verify_variant(roles, 1, 0).context("LOG_DROPS=1")?;
    verify_variant(roles, 0, 1).context("DRY_RUN=1")
}

/// The plain ones only.
pub fn verify_plain(roles: u32) -> Result<()> {
    verify_variant(roles, 0, 0)
}

fn verify_variant(roles: u32, log_drops: u32, dry_run: u32) -> Result<()> {
    let path = object()?;
    let object = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut loader = EbpfLoader::new();
    loader
        .override_global("ROLES", &roles, true)
        .override_global("LOG_DROPS", &log_drops, true)
        .override_global("DRY_RUN", &dry_run, true);
    load(&mut loader.load(&object)?)
}

fn load(ebpf: &mut Ebpf) -> Result<()> {
    let xdp: &mut Xdp = ebpf.program_mut("trigon_xdp").context("no trigon_xdp")?.try_into()?;
    xdp.load().context("trigon_xdp")?;
    if let Some(count) = xdp.info()?.verified_instruction_count() {
        println!("verified: {count}");
    }
    let egress: &mut SchedClassifier =
        ebpf.program_mut("trigon_egress").context("no trigon_egress")?.try_into()?;
    egress.load().context("trigon_egress")
}

fn object() -> Result<PathBuf> {
    let path = std::env::var_os("TRIGON_EBPF_OBJECT");
    path.map(PathBuf::from).context("TRIGON_EBPF_OBJECT names no eBPF object: run `cargo xtask vm-test`")
}
