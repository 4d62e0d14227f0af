//! The `trigon` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use lb_userspace::{cli::Cli, cmd};

fn main() -> ExitCode {
    cmd::run(Cli::parse())
}
