//! `trigon check DIR`

use std::{path::Path, process::ExitCode};

use super::{Outcome, UNUSABLE, print};
use crate::{check, cli::Cli, translate};

pub fn run(cli: &Cli, dir: &Path, default_class: bool, mtu: Option<u16>) -> Outcome {
    let report = check::check(dir, translate::Options { default_class }, mtu);
    print(cli.output, &report, check::render)?;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(UNUSABLE) })
}
