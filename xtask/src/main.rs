//! Trigon's chores, as `cargo xtask COMMAND`. One file for each command.

mod apt;
mod bench;
mod build_ebpf;
mod check;
mod churn;
mod cluster;
mod crds;
mod demo;
mod fuzz;
mod helm;
mod icount;
mod image;
mod kubernetes;
mod output;
mod shell;
mod style;
mod test;
mod toolchain;
mod vm;
mod vm_test;

use clap::Parser;

/// Trigon's chores. Each installs what it needs on Debian and its kin, and
/// says so; nothing has to be done before.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
enum Cli {
    /// Build the eBPF object, finding or installing a toolchain that can.
    BuildEbpf,
    /// Check format, lints and licences, and run unit and property tests. Needs no
    /// root and no eBPF object.
    Check,
    /// Build everything, then show the triangle at work on three nodes made of
    /// network namespaces. Needs root. Under a minute after the build.
    Demo(demo::DemoArgs),
    /// Run all tests: format, lints, unit and property tests, packet tables,
    /// and real traffic through network namespaces. One of the last two that
    /// fails runs once more, alone. Needs root.
    Test(test::TestArgs),
    /// Make a container image of one static program, without a daemon. A release build: minutes
    /// the first time.
    Image(image::ImageArgs),
    /// Write manifests/crds/trigon.dev.yaml: the CustomResourceDefinitions, made of the Rust types.
    Crds,
    /// Make the Helm chart, target/trigon-VERSION.tgz, of what kustomize makes of the manifests. Needs Go.
    Helm,
    /// Show Trigon on a real Kubernetes cluster, with kubelets and containers in namespaces of
    /// this machine: installed by its manifests, with 6 Pods behind a Service. Needs root and Go.
    /// A minute after the builds, which take a quarter of an hour the first time.
    Cluster(cluster::ClusterArgs),
    /// Build `kube`, the programs of Kubernetes that tests need in one, and Helm, with Go, and keep them
    /// outside of the repository. Six minutes the first time, and what Helm takes.
    Kubernetes,
    /// Let directors, nodes and Pods come, go and drain while 2,000 connections
    /// live, and count those that break. Needs root. Two minutes after the build.
    Churn(churn::ChurnArgs),
    /// Measure nanoseconds per packet, beside baselines in the same run; or, with
    /// --control, what changes cost in the control plane. Needs root.
    Bench(bench::BenchArgs),
    /// Send ten million mutated packets through the programs. Needs root.
    Fuzz(fuzz::FuzzArgs),
    /// Count instructions per packet, in a virtual machine, and compare them with
    /// those on record. Needs root.
    Icount(icount::IcountArgs),
    /// Try Debian's kernels from 5.10 on, in virtual machines, and the one that
    /// runs here: load, traffic, restart, unload. Needs root.
    VmTest(vm_test::VmTestArgs),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse() {
        Cli::BuildEbpf => build_ebpf::run().map(drop),
        Cli::Check => check::run(),
        Cli::Demo(args) => demo::run(args),
        Cli::Cluster(args) => cluster::run(args),
        Cli::Crds => crds::run(),
        Cli::Image(args) => image::run(args),
        Cli::Helm => helm::run(),
        Cli::Kubernetes => kubernetes::run(),
        Cli::Churn(args) => churn::run(args),
        Cli::Test(args) => test::run(args),
        Cli::Bench(args) => bench::run(args),
        Cli::Fuzz(args) => fuzz::run(args),
        Cli::Icount(args) => icount::run(args),
        Cli::VmTest(args) => vm_test::run(args),
    }
}
