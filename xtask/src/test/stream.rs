//! Running a program whose output is seen while it runs, and kept.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

/// The interval at which the program's output is read.
const LOOK: Duration = Duration::from_millis(50);

/// A program that ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    pub success: bool,
    /// Standard output and standard error, as they were written.
    pub output: String,
}

/// Runs `command` to its end. Its output goes to the file `copy`, and from there
/// to ours: a pipe would stay open for as long as any process lives that the
/// command has left behind.
pub fn run(command: &mut Command, copy: &Path) -> Result<Run> {
    // A file of its own: what an earlier command has left behind may still write to the last one.
    let _ = std::fs::remove_file(copy);
    let to = File::create(copy).with_context(|| format!("cannot make {}", copy.display()))?;
    let mut from = File::open(copy).with_context(|| format!("cannot read {}", copy.display()))?;
    let mut child = command
        .stdout(to.try_clone()?)
        .stderr(to)
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let mut output = Vec::new();
    loop {
        // In this order, what the program wrote last is read after it ended.
        let ended = child.try_wait()?;
        output.extend(copy_new_output(&mut from)?);
        if let Some(status) = ended {
            let output = String::from_utf8_lossy(&output).into_owned();
            return Ok(Run { success: status.success(), output });
        }
        thread::sleep(LOOK);
    }
}

/// Writes what is new in the file to our standard output.
fn copy_new_output(from: &mut File) -> Result<Vec<u8>> {
    let mut new = Vec::new();
    from.read_to_end(&mut new)?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&new)?;
    stdout.flush()?;
    Ok(new)
}
