//! Running other programs, with errors that say which and what it said.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};

/// Runs `command` to its end, `input` on its stdin; its stdout, or an error with its stderr.
pub fn run(mut command: Command, input: &str) -> Result<String> {
    let said = run_for_output(&mut command, input)?;
    if !said.status.success() {
        let stderr = String::from_utf8_lossy(&said.stderr);
        bail!("{}: {}: {}", command_line(&command), said.status, append_numbered_input(stderr.trim(), input));
    }
    Ok(String::from_utf8_lossy(&said.stdout).into_owned())
}

/// Runs `command` to its end, whatever its exit code.
pub fn run_for_output(command: &mut Command, input: &str) -> Result<Output> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", command_line(command)))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading all of it says why itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().with_context(|| format!("waiting for {}", command_line(command)))
}

/// The command as one would type it.
fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Batch commands are named in errors by line number: show the lines.
fn append_numbered_input(message: &str, input: &str) -> String {
    if input.is_empty() {
        return message.to_owned();
    }
    let numbered = input.lines().enumerate().map(|(i, line)| format!("\n  {:3} {line}", i + 1));
    std::iter::once(message.to_owned()).chain(numbered).collect()
}
