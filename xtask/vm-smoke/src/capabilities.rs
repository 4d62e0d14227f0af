//! Which of the capabilities that the manifests give to agents the kernel itself asks for.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use lb_common::roles;
use lb_testbed::capabilities::{agent_capabilities, words_to_limit};

use crate::load;

/// What programs and maps take. The others are for sockets and priorities.
const ASKED: [&str; 4] = ["BPF", "NET_ADMIN", "PERFMON", "SYS_RESOURCE"];
/// The argument by which this program only loads the programs.
pub const LOAD: &str = "--load";

/// The programs load with all that are given, and without any one of [`ASKED`] they don't.
pub fn check() -> Result<()> {
    let given = agent_capabilities()?;
    let all: Vec<_> = given.iter().map(String::as_str).collect();
    let output = load_with(&all)?;
    ensure!(output.status.success(), "with {all:?}: {output:?}");
    for asked in ASKED.into_iter().filter(|asked| all.contains(asked)) {
        let others: Vec<_> = all.iter().copied().filter(|other| *other != asked).collect();
        ensure!(!load_with(&others)?.status.success(), "this kernel does not ask for {asked}");
    }
    Ok(())
}

/// What [`LOAD`] is for.
pub fn load_plain() -> Result<()> {
    load::verify_plain(roles::NODE)
}

/// In a process of its own: a limit that was raised once stays so.
fn load_with(capabilities: &[&str]) -> Result<Output> {
    let words = words_to_limit(capabilities);
    let (program, arguments) = words.split_first().context("no words")?;
    let mut command = Command::new(program);
    command.args(arguments).arg(std::env::current_exe()?).arg(LOAD);
    command.output().with_context(|| format!("cannot start {program}"))
}
