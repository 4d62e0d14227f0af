//! `trigon unload`

use std::process::ExitCode;

use serde::Serialize;

use super::{
    agent,
    outcome::{Outcome, print_result},
};
use crate::{
    cli::args::{Cli, PinArgs},
    datapath::kernel,
};

#[derive(Serialize)]
struct Unloaded {
    /// False: there was nothing.
    removed: bool,
}

pub fn run(cli: &Cli, pin: &PinArgs) -> Outcome {
    let removed = kernel::unload(&pin.pin_dir).map_err(|e| agent::failure_from(e.into()))?;
    let text = |unloaded: &Unloaded| {
        let what =
            if unloaded.removed { "removed all programs and maps below" } else { "nothing is pinned below" };
        format!("{what} {}\n", pin.pin_dir.display())
    };
    print_result(cli.output, &Unloaded { removed }, text)?;
    Ok(ExitCode::SUCCESS)
}
