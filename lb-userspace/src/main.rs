//! The `trigon` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use lb_userspace::cli::{self, args::Cli};

fn main() -> ExitCode {
    cli::run(Cli::parse())
}
