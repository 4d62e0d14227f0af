//! `cargo xtask vm-test`: does it all work on the kernels that people have?
//!
//! Real kernels, of Debian's releases, in QEMU without KVM, and the one that
//! runs here. What is tried on each is `xtask/vm-smoke`.

mod table;

use std::{path::Path, process::Command, time::Instant};

use anyhow::{Result, ensure};

use crate::{
    apt::{self, Package},
    build_ebpf,
    shell::{self, cargo, need_root},
    vm::{self, debian, initramfs, machine},
};
use table::Outcome;

/// A release of Debian for every kernel that is to be tried, oldest first. The
/// oldest is the oldest that the agent takes (`environment.rs`).
const RELEASES: &[&str] = &["bullseye", "bookworm", "trixie"];

/// What the testbed runs.
const PACKAGES: &[Package] = &[
    Package::new("iproute2", "ip"),
    Package::new("nftables", "nft"),
    Package::new("ethtool", "ethtool"),
    Package::new("util-linux", "setpriv"),
];

/// Links, the rules that a CNI would have on a node, and filters at egress.
const MODULES: &[&str] = &[
    "veth",
    "bridge",
    "nf_tables",
    "nft_ct",
    "nft_chain_nat",
    "nft_masq",
    "nft_counter",
    "nft_objref",
    "sch_ingress",
    "cls_bpf",
];

/// What QEMU ends with when `vm-smoke` passed (`guest.rs` there).
const PASSED: i32 = 33;

#[derive(clap::Args, Default)]
pub struct VmTestArgs {
    /// Only the kernels of these releases of Debian, and not the one that runs
    /// here: bullseye (5.10), bookworm (6.1), trixie (6.12).
    #[arg(value_name = "RELEASE", value_parser = clap::builder::PossibleValuesParser::new(RELEASES))]
    releases: Vec<String>,
    /// Get the newest builds of the kernels, not those of an earlier run.
    #[arg(long)]
    refresh: bool,
}

pub fn run(args: VmTestArgs) -> Result<()> {
    need_root()?;
    vm::install()?;
    apt::install(PACKAGES, "the testbed")?;
    let object = build_ebpf::run()?.join("trigon");
    let mut command = cargo();
    command.args(["build", "--quiet", "--bins", "-p", "lb-userspace", "-p", "lb-testbed", "-p", "vm-smoke"]);
    shell::run(&mut command)?;
    let base = initramfs::Base::build(&initramfs::Contents {
        name: "vm-test",
        init: include_str!("vm_test/init.sh"),
        programs: &["trigon", "testbed-tool", "vm-smoke"],
        files: std::slice::from_ref(&object),
        applets: &["sh", "mount", "insmod", "poweroff", "rm", "sleep"],
        tools: &["ip", "tc", "nft", "ethtool", "prlimit", "setpriv"],
    })?;
    let chosen =
        |release: &&&str| args.releases.is_empty() || args.releases.iter().any(|one| one == *release);
    let mut outcomes = Vec::new();
    for release in RELEASES.iter().filter(chosen) {
        outcomes.push(try_in_machine(release, args.refresh, &base));
    }
    if args.releases.is_empty() {
        outcomes.push(try_here(&base, &object));
    }
    table::print(&outcomes);
    ensure!(outcomes.iter().all(Outcome::has_passed), "not all kernels passed");
    Ok(())
}

/// On a release's kernel. Whatever goes wrong is the outcome.
fn try_in_machine(release: &str, refresh: bool, base: &initramfs::Base) -> Outcome {
    let outcome = debian::get_kernel(release, refresh).and_then(|kernel| {
        let initramfs = base.with_modules(&kernel, MODULES)?;
        let command = machine::qemu_command(&kernel, &initramfs, "");
        watch_smoke_test(&command, &kernel.version, &base.log_path(&kernel.version), PASSED)
    });
    outcome.unwrap_or_else(|error| Outcome::not_run(release, &error))
}

/// On the kernel that runs here: the testbed makes network namespaces of its own.
fn try_here(base: &initramfs::Base, object: &Path) -> Outcome {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let name = format!("{} (here)", release.trim());
    let outcome = initramfs::path_beside_us("vm-smoke").and_then(|program| {
        let mut command = Command::new(program);
        watch_smoke_test(command.env("TRIGON_EBPF_OBJECT", object), &name, &base.log_path("here"), 0)
    });
    outcome.unwrap_or_else(|error| Outcome::not_run(&name, &error))
}

fn watch_smoke_test(command: &Command, name: &str, log: &Path, passed: i32) -> Result<Outcome> {
    let start = Instant::now();
    let (status, said) = machine::run_with_timeout(command, name, log)?;
    let ended = match status.code() {
        Some(code) if code == passed => None,
        Some(machine::HUNG) => Some(format!("it hung: not done within {} s", machine::PATIENCE)),
        Some(0) => Some("the kernel panicked".to_owned()),
        _ => Some(format!("it failed ({status})")),
    };
    Ok(Outcome::new(name, &said, start.elapsed(), ended.map(|why| format!("{why}; see {}", log.display()))))
}
