//! `cargo xtask vm-test`: does it all work on the kernels that people have?
//!
//! Real kernels, of Debian's releases, in QEMU without KVM, and the one that
//! runs here. What is tried on each is `xtask/vm-smoke`.

mod table;

use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Instant,
};

use anyhow::{Result, anyhow, ensure};

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

/// So many kernels are tried at a time: a virtual machine has one CPU.
const AT_A_TIME: usize = 2;

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
    let in_machine = |release: &&str| Trial::in_machine(release, args.refresh, &base);
    let mut trials: Vec<_> = RELEASES.iter().filter(chosen).map(in_machine).collect();
    if args.releases.is_empty() {
        trials.push(Trial::here(&base, &object));
    }
    let mut outcomes = Vec::new();
    for some in trials.chunks(AT_A_TIME) {
        outcomes.extend(run_side_by_side(some)?);
    }
    table::print(&outcomes);
    ensure!(outcomes.iter().all(Outcome::has_passed), "not all kernels passed");
    Ok(())
}

fn run_side_by_side(trials: &[Trial]) -> Result<Vec<Outcome>> {
    thread::scope(|scope| {
        let running: Vec<_> = trials.iter().map(|trial| scope.spawn(move || trial.run())).collect();
        running.into_iter().map(|one| one.join().map_err(|_| anyhow!("a trial panicked"))).collect()
    })
}

/// A kernel to try.
struct Trial {
    /// Of the release, or of the kernel that runs here.
    name: String,
    /// Or why there is none.
    test: Result<SmokeTest>,
}

impl Trial {
    /// On a release's kernel.
    fn in_machine(release: &str, refresh: bool, base: &initramfs::Base) -> Self {
        let test = debian::get_kernel(release, refresh).and_then(|kernel| {
            let initramfs = base.with_modules(&kernel, MODULES)?;
            let command = machine::qemu_command(&kernel, &initramfs, "");
            let log = base.log_path(&kernel.version);
            Ok(SmokeTest { kernel: kernel.version, command, log, passed: PASSED })
        });
        Self { name: release.to_owned(), test }
    }

    /// On the kernel that runs here: the testbed makes network namespaces of its own.
    fn here(base: &initramfs::Base, object: &Path) -> Self {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let name = format!("{} (here)", release.trim());
        let test = initramfs::path_beside_us("vm-smoke").map(|program| {
            let mut command = Command::new(program);
            command.env("TRIGON_EBPF_OBJECT", object);
            SmokeTest { kernel: name.clone(), command, log: base.log_path("here"), passed: 0 }
        });
        Self { name, test }
    }

    /// Whatever goes wrong is the outcome.
    fn run(&self) -> Outcome {
        match self.test.as_ref().map(SmokeTest::run) {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Outcome::not_run(&self.name, &error),
            Err(error) => Outcome::not_run(&self.name, error),
        }
    }
}

/// A run of `vm-smoke`.
struct SmokeTest {
    kernel: String,
    command: Command,
    log: PathBuf,
    /// What it ends with when it passed.
    passed: i32,
}

impl SmokeTest {
    fn run(&self) -> Result<Outcome> {
        let start = Instant::now();
        let (status, said) = machine::run_with_timeout(&self.command, &self.kernel, &self.log)?;
        let ended = match status.code() {
            Some(code) if code == self.passed => None,
            Some(machine::HUNG) => Some(format!("it hung: not done within {} s", machine::PATIENCE)),
            Some(0) => Some("the kernel panicked".to_owned()),
            _ => Some(format!("it failed ({status})")),
        };
        let ended = ended.map(|why| format!("{why}; see {}", self.log.display()));
        Ok(Outcome::new(&self.kernel, &said, start.elapsed(), ended))
    }
}
