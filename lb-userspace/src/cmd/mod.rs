//! The commands: wiring only.

mod agent;
mod ask;
mod check;
mod drain;
mod explain;
mod render;
mod unload;

use std::process::ExitCode;

use serde::Serialize;

use crate::cli::{Cli, Command, Output};

/// Exit code 1: it failed.
const FAILED: u8 = 1;
/// Exit code 2: arguments or configuration cannot work.
const UNUSABLE: u8 = 2;

/// An error with the exit code that it deserves.
struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { code: FAILED, error }
    }
}

type Outcome = Result<ExitCode, Failure>;

/// Run the command that was asked for.
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match &cli.command {
        Command::Agent(args) => agent::run(&cli, args),
        Command::Check { dir, default_class, mtu } => check::run(&cli, dir, *default_class, *mtu),
        Command::Status => ask::status(&cli),
        Command::Services => ask::services(&cli),
        Command::Backends => ask::backends(&cli),
        Command::Drops { all } => ask::drops(&cli, *all),
        Command::Bgp => ask::bgp(&cli),
        Command::L2 => ask::l2(&cli),
        Command::Drain { undo, no_wait } => drain::run(&cli, *undo, *no_wait),
        Command::Explain(args) => explain::run(&cli, args),
        Command::Unload { pin } => unload::run(&cli, pin),
    };
    outcome.unwrap_or_else(|failure| {
        eprintln!("error: {:#}", failure.error);
        ExitCode::from(failure.code)
    })
}

/// Print a result in the form that was asked for.
fn print<T: Serialize + ?Sized>(
    output: Output,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(value)?),
        Output::Text => print!("{}", text(value)),
    }
    Ok(())
}
