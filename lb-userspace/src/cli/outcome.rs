//! How commands end, and how they print.

use std::process::ExitCode;

use serde::Serialize;

use super::args::OutputFormat;

/// Exit code 1: it failed.
pub const FAILED: u8 = 1;
/// Exit code 2: arguments or configuration cannot work.
pub const UNUSABLE: u8 = 2;

/// An error, and the exit code of the command.
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

/// Prints a result as JSON, or as the text that `text` makes of it.
pub fn print_result<T: Serialize + ?Sized>(
    output: OutputFormat,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    match output {
        OutputFormat::Json => println!("{}", serde_json::to_string_pretty(value)?),
        OutputFormat::Text => print!("{}", text(value)),
    }
    Ok(())
}
