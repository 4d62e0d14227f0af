//! How commands end, and how they print.

use std::process::ExitCode;

use serde::Serialize;

use super::args::Output;

/// Exit code 1: it failed.
pub const FAILED: u8 = 1;
/// Exit code 2: arguments or configuration cannot work.
pub const UNUSABLE: u8 = 2;

/// An error with the exit code that it deserves.
pub struct Failure {
    pub code: u8,
    pub error: anyhow::Error,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { code: FAILED, error }
    }
}

pub type Outcome = Result<ExitCode, Failure>;

/// Print a result in the form that was asked for.
pub fn print<T: Serialize + ?Sized>(
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
