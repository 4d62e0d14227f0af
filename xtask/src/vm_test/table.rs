//! The outcomes of kernels, and the table of them.

use std::time::Duration;

/// Lines of a machine's output, from its end, that are printed if it failed.
const TAIL: usize = 40;

/// The outcome of a kernel.
pub struct Outcome {
    kernel: String,
    /// In their order, each with its result, as `vm-smoke` says them.
    steps: Vec<(String, String)>,
    took: Duration,
    /// Instructions that the verifier processed for the program that took most, of
    /// the million that it allows.
    verified: Option<u32>,
    /// Why it did not pass, and the end of what it said.
    failure: Option<(String, String)>,
}

impl Outcome {
    pub fn new(kernel: &str, said: &str, took: Duration, failure: Option<String>) -> Self {
        let failure = failure.map(|why| (why, last_lines(said)));
        Self {
            kernel: kernel.to_owned(),
            steps: parse_steps(said),
            took,
            verified: most_verified(said),
            failure,
        }
    }

    pub fn not_run(kernel: &str, error: &anyhow::Error) -> Self {
        Self::new(kernel, "", Duration::ZERO, Some(format!("{error:#}")))
    }

    pub fn has_passed(&self) -> bool {
        self.failure.is_none()
    }

    fn result(&self, step: &str) -> &str {
        self.steps.iter().find(|(name, _)| name == step).map_or("-", |(_, result)| result)
    }
}

/// The lines `smoke: STEP: RESULT`, wherever in a line the kernel has put them.
fn parse_steps(said: &str) -> Vec<(String, String)> {
    let step = |line: &str| {
        let (_, line) = line.split_once("smoke: ")?;
        let (name, result) = line.trim().split_once(": ")?;
        Some((name.to_owned(), result.to_owned()))
    };
    said.lines().filter_map(step).collect()
}

/// The greatest of the lines `verified: COUNT`.
fn most_verified(said: &str) -> Option<u32> {
    said.lines().filter_map(|line| line.split_once("verified: ")?.1.trim().parse().ok()).max()
}

fn last_lines(said: &str) -> String {
    let lines: Vec<_> = said.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// Failures in full, then a line for each kernel.
pub fn print(outcomes: &[Outcome]) {
    for outcome in outcomes {
        if let Some((why, said)) = &outcome.failure {
            println!("{said}\n{}: {why}\n", outcome.kernel);
        }
    }
    let mut columns: Vec<&str> = Vec::new();
    for (name, _) in outcomes.iter().flat_map(|outcome| &outcome.steps) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let line = |kernel: &str, cells: Vec<&str>, verified: &str, end: &str| {
        let cells: String = cells.iter().map(|cell| format!("{cell:<10}")).collect();
        println!("{kernel:<32}{cells}{verified:<10}{end:>7}");
    };
    line("kernel", columns.clone(), "verified", "seconds");
    for outcome in outcomes {
        let cells = columns.iter().map(|step| outcome.result(step)).collect();
        let verified = outcome.verified.map_or("-".to_owned(), |count| count.to_string());
        line(&outcome.kernel, cells, &verified, &format!("{:.1}", outcome.took.as_secs_f64()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_among_what_the_kernel_says() {
        let said = "[    1.2] booting\r\nsmoke: node: ok\r\n[ 2.0] x smoke: ready: failed\r\nno\r\n";
        let step = |name: &str, result: &str| (name.to_owned(), result.to_owned());
        assert_eq!(parse_steps(said), [step("node", "ok"), step("ready", "failed")]);
    }

    #[test]
    fn the_highest_verifier_count_is_taken() {
        assert_eq!(most_verified("verified: 31\r\n[ 1.0] verified: 400\r\nverified: 7"), Some(400));
        assert_eq!(most_verified("smoke: node: ok"), None);
    }

    #[test]
    fn only_the_last_lines_are_printed() {
        let said: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert!(last_lines(&said).starts_with("60\n") && last_lines("one") == "one");
    }
}
