//! `cargo xtask test`: everything.

mod binaries;
mod judge;
mod libtest;
mod stream;
mod traffic;

use std::path::Path;

use anyhow::{Result, bail};

use crate::{
    apt::{self, Package},
    build_ebpf, cluster, icount, kubernetes,
    shell::{self, cargo, need_root, say},
    style, vm, vm_test,
};

#[derive(clap::Args)]
pub struct TestArgs {
    /// Only tests whose name contains this, or the file of that name: `pmtud`.
    filter: Option<String>,
}

/// What namespaces, traffic and the packet tables need.
pub const PACKAGES: &[Package] = &[
    Package::new("iproute2", "ip"),
    Package::new("nftables", "nft"),
    Package::new("ethtool", "ethtool"),
    Package::new("conntrack", "conntrack"),
    Package::new("curl", "curl"),
    Package::new("nginx-light", "nginx"),
    Package::new("iperf3", "iperf3"),
    Package::new("iputils-ping", "ping"),
    Package::new("bpftool", "bpftool"),
    Package::new("arping", "arping"),
    Package::new("ndisc6", "ndisc6"),
    Package::new("procps", "sysctl"),
    Package::new("util-linux", "nsenter"),
];

pub const BIRD: Package = Package::new("bird2", "bird");
/// Routers that VIPs are announced to.
pub const ROUTERS: &[Package] = &[BIRD, Package::new("frr", "/usr/lib/frr/bgpd")];

/// A workspace of its own; its library is tested on the host.
const EBPF: &str = "lb-ebpf/Cargo.toml";
const EBPF_TESTS: &[&str] = &["test", "--quiet", "--manifest-path", EBPF, "--lib"];

pub fn run(args: TestArgs) -> Result<()> {
    need_root()?;
    apt::install(PACKAGES, "the tests")?;
    apt::install(ROUTERS, "tests with routers")?;
    build_ebpf::run()?;
    shell::run(cargo().args(["build", "--quiet", "--workspace", "--bins"]))?;
    let is_to_run = |file: &str| args.filter.as_deref().is_none_or(|filter| filter == file);
    if is_to_run("cluster") {
        cluster::prepare()?;
    } else if is_to_run("kube") {
        kubernetes::build()?;
    }
    match args.filter.as_deref() {
        Some(file) if is_test_file(file) => run_traffic_tests(&["--test", file], &["--nocapture"], || Ok(())),
        Some(name) => {
            ensure_test_exists(name)?;
            run_unit_tests(Some(name))?;
            run_traffic_tests(&["--test", "*"], &[name], || Ok(()))
        }
        None => {
            style::run()?;
            build_ebpf::lint()?;
            run_unit_tests(None)?;
            run_traffic_tests(&["--test", "*"], &[], run_on_other_kernels)
        }
    }
}

/// Unit and property tests, which need no privilege.
pub fn run_unit_tests(filter: Option<&str>) -> Result<()> {
    say("unit and property tests");
    let mut command = cargo();
    command.args(["test", "--quiet", "--workspace", "--no-fail-fast", "--lib", "--bins"]);
    shell::run(command.args(filter))?;
    shell::run(cargo().args(EBPF_TESTS).args(filter))
}

/// Runs packet tables and real traffic, then `next` if no test failed twice. Flaky
/// tests are named last.
fn run_traffic_tests(targets: &[&str], options: &[&str], next: impl FnOnce() -> Result<()>) -> Result<()> {
    say("packet tables and real traffic");
    let judgement = traffic::run(targets, options)?;
    let result = traffic::ensure_none_failed(&judgement).and_then(|()| next());
    traffic::print_flaky(&judgement);
    result
}

/// A file, or a directory, of integration tests?
fn is_test_file(name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let dirs = ["lb-testbed/tests", "lb-userspace/tests"].map(|dir| root.join(dir));
    dirs.iter().any(|dir| dir.join(format!("{name}.rs")).exists() || dir.join(name).join("main.rs").exists())
}

/// An error if no test has `name` in its name: the run would pass without a test.
fn ensure_test_exists(name: &str) -> Result<()> {
    let mut list = shell::stdout(cargo().args(["test", "--quiet", "--workspace", name, "--", "--list"]))?;
    list += &shell::stdout(cargo().args(EBPF_TESTS).args([name, "--", "--list"]))?;
    if !list.lines().any(|line| line.ends_with(": test")) {
        bail!("no test, and no file of tests, has `{name}` in its name");
    }
    Ok(())
}

/// Other kernels. They come from Debian; CI must have them.
fn run_on_other_kernels() -> Result<()> {
    if std::env::var_os("CI").is_none() && !vm::is_possible() {
        say("skipped: other kernels and instructions per packet; the kernels come from Debian's packages");
        return Ok(());
    }
    say("other kernels");
    vm_test::run(vm_test::VmTestArgs::default())?;
    say("instructions per packet");
    icount::run(icount::IcountArgs::default())
}
