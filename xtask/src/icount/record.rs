//! The figures on record, and how measured ones compare to them.

use std::{collections::BTreeMap, fmt, fs, path::PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::shell::workspace_root;

/// By how much, as a fraction, a figure may grow before `--accept` is needed.
const TOLERANCE: f64 = 0.03;

/// What packets cost, and what that also depends on.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub kernel: String,
    pub compiler: String,
    /// For each packet, by case.
    pub instructions: BTreeMap<String, u64>,
}

pub fn path() -> PathBuf {
    workspace_root().join("xtask/instructions.json")
}

impl Record {
    pub fn read() -> Result<Self> {
        let path = path();
        let text = fs::read_to_string(&path);
        let text =
            text.with_context(|| format!("{}: make it by `cargo xtask icount --accept`", path.display()))?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    pub fn write(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(path(), text).with_context(|| format!("writing {}", path().display()))
    }
}

/// How a case differs from what is on record.
#[derive(PartialEq, Debug)]
pub enum Change {
    Worse { case: String, from: u64, to: u64 },
    Better { case: String, from: u64, to: u64 },
    New { case: String, to: u64 },
    Gone { case: String },
}

impl Change {
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Better { .. })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worse { case, from, to } => {
                write!(
                    f,
                    "worse: {case} costs {to} instructions, on record are {from}: {}",
                    percent(*from, *to)
                )
            }
            Self::Better { case, from, to } => write!(
                f,
                "better: {case} costs {to} instructions, on record are {from}: {}; keep it by `cargo xtask icount --accept`",
                percent(*from, *to)
            ),
            Self::New { case, to } => write!(f, "new: {case} costs {to} instructions and is not on record"),
            Self::Gone { case } => write!(f, "gone: {case} is on record, but no case has that name"),
        }
    }
}

/// The cases that differ by more than the tolerance, are new, or are gone.
pub fn compare(recorded: &Record, measured: &Record) -> Vec<Change> {
    let gone = recorded.instructions.keys().filter(|case| !measured.instructions.contains_key(*case));
    let gone = gone.map(|case| Change::Gone { case: case.clone() });
    let measured = measured.instructions.iter().filter_map(|(case, &to)| {
        let case = case.clone();
        match recorded.instructions.get(&case) {
            None => Some(Change::New { case, to }),
            Some(&from) if to as f64 > from as f64 * (1.0 + TOLERANCE) => {
                Some(Change::Worse { case, from, to })
            }
            Some(&from) if (to as f64) < from as f64 * (1.0 - TOLERANCE) => {
                Some(Change::Better { case, from, to })
            }
            Some(_) => None,
        }
    });
    measured.chain(gone).collect()
}

/// A note for each of kernel and compiler, on which the figures depend, that is
/// another than on record.
pub fn environment_notes(recorded: &Record, measured: &Record) -> Vec<String> {
    [("kernel", &recorded.kernel, &measured.kernel), ("compiler", &recorded.compiler, &measured.compiler)]
        .into_iter()
        .filter(|(_, recorded, measured)| recorded != measured)
        .map(|(what, recorded, measured)| {
            format!(
                "note: the {what} is {measured}, on record is {recorded}: figures may differ for that alone"
            )
        })
        .collect()
}

/// A line for each case.
pub fn print(recorded: &Record, measured: &Record) {
    println!("{:<20} {:>12} {:>10} {:>8}", "case", "instructions", "on record", "");
    for (case, &count) in &measured.instructions {
        let before = recorded.instructions.get(case);
        let (recorded, change) = match before {
            Some(&before) => (before.to_string(), percent(before, count)),
            None => ("-".to_owned(), String::new()),
        };
        println!("{case:<20} {count:>12} {recorded:>10} {change:>8}");
    }
}

fn percent(from: u64, to: u64) -> String {
    format!("{:+.1} %", (to as f64 / from as f64 - 1.0) * 100.0)
}

#[cfg(test)]
mod tests;
