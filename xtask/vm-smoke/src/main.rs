//! What has to work on every kernel: the programs load in each role, real
//! agents, with the capabilities that the manifests give them, carry real
//! traffic round the triangle, whose connections outlive them, and leave
//! nothing behind.
//!
//! Says `smoke: STEP: ok` or `smoke: STEP: failed` for each step, which
//! `cargo xtask vm-test` makes a table of. With `--guest` it ends the virtual
//! machine in which it runs.

mod agent;
mod attached;
mod capabilities;
mod guest;
mod load;
mod triangle;

use std::process::ExitCode;

use anyhow::Result;
use lb_common::roles;
use triangle::Triangle;

fn main() -> ExitCode {
    let is_asked = |option: &str| std::env::args().any(|argument| argument == option);
    if is_asked(capabilities::LOAD) {
        let loaded = capabilities::load_plain().inspect_err(|error| eprintln!("{error:#}"));
        return if loaded.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let passed = everything().is_some();
    if is_asked("--guest") {
        guest::end(passed);
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All steps; those that need one that failed are not tried.
fn everything() -> Option<()> {
    let loaded =
        [("director", roles::DIRECTOR), ("node", roles::NODE), ("both", roles::DIRECTOR | roles::NODE)]
            .map(|(name, roles)| step(name, || load::verify(roles)));
    let rights = step("rights", capabilities::check);
    let mut triangle = step("ready", Triangle::start)?;
    let mut held = step("traffic", || triangle.traffic())?;
    step("inside", || triangle.inside())?;
    step("hand-on", || triangle.hand_on(&mut held))?;
    step("restart", || triangle.restart(held))?;
    step("demote", || triangle.demote())?;
    step("unload", || triangle.unload())?;
    loaded.into_iter().chain([rights]).collect()
}

fn step<T>(name: &str, act: impl FnOnce() -> Result<T>) -> Option<T> {
    let result = act();
    println!("smoke: {name}: {}", if result.is_ok() { "ok" } else { "failed" });
    result.inspect_err(|error| eprintln!("{error:#}")).ok()
}
