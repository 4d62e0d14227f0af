//! What a process has used.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// CPU time of all threads that there are.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("threads")? {
        // On the CPU, waiting, and how often: proc(5).
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanoseconds +=
            text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
    }
    Ok(Duration::from_nanos(nanoseconds))
}
