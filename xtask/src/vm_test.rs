//! `cargo xtask vm-test`: does it all work on the kernels that people have?
//!
//! Real kernels, of Debian's releases, in QEMU without KVM, and the one that
//! runs here. What is tried on each is `xtask/vm-smoke`.

mod debian;
mod initramfs;
mod machine;
mod table;

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};

use crate::{
    apt::{self, Package},
    build_ebpf,
    shell::{self, cargo, need_root, say},
};
use table::Outcome;

/// A release of Debian for every kernel that is to be tried, oldest first. The
/// oldest is the oldest that the agent takes (`environment.rs`).
const RELEASES: &[&str] = &["bullseye", "bookworm", "trixie"];

const PACKAGES: &[Package] = &[
    Package::new("qemu-system-x86", "qemu-system-x86_64"),
    Package::new("busybox-static", "busybox"),
    Package::new("kmod", "modprobe"),
    Package::new("cpio", "cpio"),
    Package::new("xz-utils", "xz"),
    Package::new("binutils", "strip"),
    Package::new("iproute2", "ip"),
    Package::new("nftables", "nft"),
    Package::new("ethtool", "ethtool"),
];

/// What the machines run, built beside us.
const PROGRAMS: &[&str] = &["trigon", "testbed-tool", "vm-smoke"];

#[derive(clap::Args, Default)]
pub struct Args {
    /// Only the kernels of these releases of Debian, and not the one that runs
    /// here: bullseye (5.10), bookworm (6.1), trixie (6.12).
    #[arg(value_name = "RELEASE", value_parser = clap::builder::PossibleValuesParser::new(RELEASES))]
    releases: Vec<String>,
    /// Get the newest builds of the kernels, not those of an earlier run.
    #[arg(long)]
    refresh: bool,
}

/// Can this machine get the kernels?
pub fn is_possible() -> bool {
    debian::own_release().is_some()
}

pub fn run(args: Args) -> Result<()> {
    need_root()?;
    apt::install(PACKAGES, "virtual machines")?;
    let object = build_ebpf::run()?.join("trigon");
    let mut command = cargo();
    command.args(["build", "--quiet", "--bins", "-p", "lb-userspace", "-p", "lb-testbed", "-p", "vm-smoke"]);
    shell::run(&mut command)?;
    let chosen =
        |release: &&&str| args.releases.is_empty() || args.releases.iter().any(|one| one == *release);
    let base = initramfs::Base::build(&programs()?, &object)?;
    let mut outcomes = Vec::new();
    for release in RELEASES.iter().filter(chosen) {
        outcomes.push(in_machine(release, args.refresh, &base));
    }
    if args.releases.is_empty() {
        outcomes.push(here(&base, &object));
    }
    table::print(&outcomes);
    ensure!(outcomes.iter().all(Outcome::passed), "not all kernels passed");
    Ok(())
}

/// On a release's kernel. Whatever goes wrong is the outcome.
fn in_machine(release: &str, refresh: bool, base: &initramfs::Base) -> Outcome {
    let outcome = debian::kernel(release, refresh).and_then(|kernel| {
        let initramfs = base.with_modules(&kernel)?;
        machine::boot(&kernel, &initramfs)
    });
    outcome.unwrap_or_else(|error| Outcome::not_run(release, &error))
}

/// On the kernel that runs here: the testbed makes network namespaces of its own.
fn here(base: &initramfs::Base, object: &std::path::Path) -> Outcome {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = format!("{} (here)", release.trim());
    let mut command = Command::new(base.program("vm-smoke"));
    let log = base.log("here");
    let outcome = machine::watch(command.env("TRIGON_EBPF_OBJECT", object), &name, &log, 0);
    outcome.unwrap_or_else(|error| Outcome::not_run(&name, &error))
}

/// Where cargo puts what it builds as it built us.
fn programs() -> Result<Vec<PathBuf>> {
    let own = std::env::current_exe().context("finding our own path")?;
    let dir = own.parent().context("our own path has no directory")?;
    say(format!("building the initial file system from {}", dir.display()));
    Ok(PROGRAMS.iter().map(|name| dir.join(name)).collect())
}
