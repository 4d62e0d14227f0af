//! Packet tables and real traffic: the binaries of `tests/`, one test at a time
//! or two, and those that failed once more.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::{
    binaries::{self, Binary},
    judge::{Flaky, Judgement},
    stream,
};
use crate::shell::{say, workspace_root};

/// The files of which two tests run at a time. Those of `kube` mostly wait, and those of them that must not run beside
/// others see to it themselves. Those of `packets` keep one core busy, with machines that share nothing.
const TWO_AT_A_TIME: [&str; 2] = ["kube", "packets"];

/// Runs the binaries that `targets` select, of their tests those that `options` do.
pub fn run(targets: &[&str], options: &[&str]) -> Result<Judgement> {
    remove_kept_outputs()?;
    let mut judgement = Judgement::default();
    for binary in binaries::build(targets)? {
        say(&binary.name);
        let first = run_binary(&binary, options)?;
        judgement.add(&binary.name, &first, |test| {
            say(format!("{}::{test} failed: once more, alone", binary.name));
            run_binary(&binary, &["--exact", test, "--nocapture"])
        })?;
    }
    judgement.flaky.iter().try_for_each(keep_outputs)?;
    Ok(judgement)
}

/// Names the flaky tests, and where to look.
pub fn print_flaky(judgement: &Judgement) {
    if !judgement.flaky.is_empty() {
        say(format!("failed at first and passed alone; both outputs are in {}", flaky_directory().display()));
    }
    for Flaky { name, .. } in &judgement.flaky {
        println!("flaky: {name}");
    }
}

/// An error that names all that failed, if anything did.
pub fn ensure_none_failed(judgement: &Judgement) -> Result<()> {
    ensure!(judgement.failed.is_empty(), "failed, and not only once: {}", judgement.failed.join(", "));
    Ok(())
}

/// In the directory, and with the variable of the environment, that `cargo test` gives.
fn run_binary(binary: &Binary, options: &[&str]) -> Result<stream::Run> {
    let mut command = Command::new(&binary.path);
    let threads = if TWO_AT_A_TIME.contains(&binary.name.as_str()) { 2 } else { 1 };
    command.args(options).arg(format!("--test-threads={threads}"));
    command.current_dir(&binary.package).env("CARGO_MANIFEST_DIR", &binary.package);
    stream::run(&mut command, &workspace_root().join("target/test.log"))
}

/// What was flaky, as it was the first and the second time.
fn flaky_directory() -> PathBuf {
    workspace_root().join("target/flaky")
}

/// Removes what an earlier run kept.
fn remove_kept_outputs() -> Result<()> {
    let directory = flaky_directory();
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    make_directory(&workspace_root().join("target"))
}

fn make_directory(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))
}

fn keep_outputs(flaky: &Flaky) -> Result<()> {
    let directory = flaky_directory();
    make_directory(&directory)?;
    for (time, output) in [("first", &flaky.first), ("second", &flaky.second)] {
        let path = directory.join(format!("{}.{time}", flaky.name.replace("::", ".")));
        fs::write(&path, output).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
