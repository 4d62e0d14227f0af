//! The judgement of tests that failed: each runs once more, alone, and is flaky
//! if it then passes. Pure, but for that second run.

use anyhow::Result;

use super::{
    libtest::{Report, read_report},
    stream::Run,
};

/// The tests and binaries that did not simply pass.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Judgement {
    pub flaky: Vec<Flaky>,
    /// Tests that failed twice, and binaries that did not come to their end.
    pub failed: Vec<String>,
}

/// A test that failed, and passed when it ran again alone.
#[derive(PartialEq, Eq, Debug)]
pub struct Flaky {
    /// `BINARY::TEST`
    pub name: String,
    /// What its binary printed when it failed.
    pub first: String,
    /// What it printed when it passed.
    pub second: String,
}

impl Judgement {
    /// Adds a binary's run. `again` runs one of its tests, alone.
    pub fn add(&mut self, binary: &str, run: &Run, again: impl Fn(&str) -> Result<Run>) -> Result<()> {
        let failed = match read_report(&run.output) {
            Report::Complete { failed, .. } if failed.is_empty() == run.success => failed,
            // Which of its tests are to blame, and which did not run, is unknown.
            report => {
                self.failed.push(format!("{binary} ({})", describe_end(report)));
                return Ok(());
            }
        };
        for test in failed {
            let name = format!("{binary}::{test}");
            let second = again(&test)?;
            if has_passed(&second) {
                self.flaky.push(Flaky { name, first: run.output.clone(), second: second.output });
            } else {
                self.failed.push(name);
            }
        }
        Ok(())
    }
}

/// How a binary ended that failed as a whole.
fn describe_end(report: Report) -> String {
    match report {
        Report::Complete { .. } => "failed after its last test".into(),
        Report::CutShort { at: Some(test) } => format!("ended in or after {test}"),
        Report::CutShort { at: None } => "ended before any test".into(),
    }
}

/// Did a test that was asked for by name run, and pass?
fn has_passed(run: &Run) -> bool {
    run.success
        && matches!(read_report(&run.output), Report::Complete { passed: 1, failed } if failed.is_empty())
}

#[cfg(test)]
mod tests;
