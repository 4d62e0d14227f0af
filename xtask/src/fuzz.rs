//! `cargo xtask fuzz`: many mutated packets through both programs, on every kind
//! of machine that the packet tables know.
//!
//! The same test as in `cargo xtask test`, which sends few of them.

use anyhow::Result;

use crate::{
    apt, build_ebpf,
    shell::{self, cargo, need_root},
    test::PACKAGES,
};

#[derive(clap::Args)]
pub struct FuzzArgs {
    /// Packets to send, over all machines together.
    #[arg(long, default_value_t = 10_000_000)]
    packets: u64,
    /// Seed of the random numbers. Without it, one is taken from the clock; it is printed in any case.
    #[arg(long)]
    seed: Option<u64>,
}

pub fn run(args: FuzzArgs) -> Result<()> {
    need_root()?;
    apt::install(PACKAGES, "the packet tables")?;
    build_ebpf::run()?;
    let mut command = cargo();
    command.args(["test", "--quiet", "-p", "lb-userspace", "--test", "packets", "fuzz::"]);
    command.env("TRIGON_FUZZ_PACKETS", args.packets.to_string());
    if let Some(seed) = args.seed {
        command.env("TRIGON_FUZZ_SEED", seed.to_string());
    }
    shell::run(&mut command)
}
