//! The commands: wiring only.

mod agent;
pub mod args;
mod ask;
mod check;
mod controller;
mod crds;
mod drain;
mod explain;
mod logging;
mod outcome;
mod render;
mod unload;

use std::process::ExitCode;

use args::{Cli, Command};

/// Run the command that was asked for.
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match &cli.command {
        Command::Agent(args) => agent::run(&cli, args),
        Command::Controller(args) => controller::run(args),
        Command::Check { dir, meaning, mtu } => check::run(&cli, dir, (*meaning).into(), *mtu),
        Command::Status { live } => ask::status(&cli, *live),
        Command::Services => ask::services(&cli),
        Command::Backends => ask::backends(&cli),
        Command::Drops { all } => ask::drops(&cli, *all),
        Command::Bgp => ask::bgp(&cli),
        Command::L2 => ask::l2(&cli),
        Command::Drain { undo, no_wait } => drain::run(&cli, *undo, *no_wait),
        Command::Explain(args) => explain::run(&cli, args),
        Command::Crds => crds::run(&cli),
        Command::Unload { pin } => unload::run(&cli, pin),
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("error: {:#}", failure.error);
        ExitCode::from(failure.code)
    })
}
