//! `cargo xtask icount`: what a packet costs in instructions, kernel's helpers
//! included, and whether that has become more than is on record.
//!
//! The cases of `cargo xtask bench` run in a virtual machine whose clock counts
//! instructions (`-icount shift=0`), so that the figures are the same in every
//! run, on any machine, but for one or two, or five where keys happen to meet in
//! a bucket of a hash table. Caches play no part in them.

mod record;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    build_ebpf,
    shell::{need_root, say},
    toolchain::Toolchain,
    vm::{self, debian, initramfs, machine},
};
use record::Record;

/// Whose kernel it runs on.
const RELEASE: &str = "trixie";

#[derive(clap::Args, Default)]
pub struct IcountArgs {
    /// Put the measured figures on record, without comparing them.
    #[arg(long)]
    accept: bool,
}

pub fn run(args: IcountArgs) -> Result<()> {
    need_root()?;
    vm::install()?;
    let measured = measure()?;
    if args.accept {
        measured.write()?;
        say(format!("on record: {}", record::path().display()));
        return Ok(());
    }
    let recorded = Record::read()?;
    let changes = record::compare(&recorded, &measured);
    for difference in record::environment_notes(&recorded, &measured) {
        println!("{difference}");
    }
    record::print(&recorded, &measured);
    for change in &changes {
        println!("{change}");
    }
    ensure!(
        !changes.iter().any(record::Change::is_failure),
        "packets cost more instructions than on record. If they have to, accept it: \
         `cargo xtask icount --accept`, and commit {}",
        record::path().display()
    );
    Ok(())
}

fn measure() -> Result<Record> {
    let objects = build_ebpf::run()?;
    let base = initramfs::Base::build(&initramfs::Contents {
        name: "icount",
        init: include_str!("icount/init.sh"),
        programs: &["xtask"],
        files: &["trigon", "bench"].map(|name| objects.join(name)),
        applets: &["sh", "mount", "poweroff"],
        tools: &[],
    })?;
    let kernel = debian::get_kernel(RELEASE, false)?;
    let initramfs = base.with_modules(&kernel, &[])?;
    let mut qemu = machine::qemu_command(&kernel, &initramfs, "tsc=reliable clocksource=tsc");
    qemu.args(["-icount", "shift=0,sleep=off"]);
    let log = base.log_path(&kernel.version);
    let (status, said) = machine::run_with_timeout(&qemu, &kernel.version, &log)?;
    let instructions =
        parse_figures(&said).with_context(|| format!("it ended with {status}; see {}", log.display()))?;
    Ok(Record { kernel: kernel.version, compiler: Toolchain::find()?.version()?, instructions })
}

/// The lines `icount: CASE COUNT`, if all of them are there.
fn parse_figures(said: &str) -> Result<BTreeMap<String, u64>> {
    let mut figures = BTreeMap::new();
    for line in said.lines() {
        let Some((_, rest)) = line.split_once("icount: ") else { continue };
        match rest.trim().split_once(' ') {
            Some((case, count)) => {
                let count = count.parse().with_context(|| format!("`{line}` names no count"))?;
                figures.insert(case.to_owned(), count);
            }
            None => return Ok(figures),
        }
    }
    bail!("the virtual machine did not come to the end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_among_what_the_kernel_says() {
        let said = "[ 1.0] booting\r\nicount: pass 112\r\n[2.0] icount: tcp4-l2-1 200\r\nicount: done\r\n";
        let expected = [("pass".to_owned(), 112), ("tcp4-l2-1".to_owned(), 200)];
        assert_eq!(parse_figures(said).expect("figures"), BTreeMap::from(expected));
    }

    #[test]
    fn a_machine_that_stops_early_is_noticed() {
        assert!(parse_figures("icount: pass 112\nKernel panic").is_err());
    }
}
