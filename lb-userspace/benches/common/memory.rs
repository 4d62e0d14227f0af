//! What a process has of memory.

use anyhow::Result;

/// Without the maps, which are the kernel's, and the files.
pub fn own_memory_mib(pid: u32) -> Result<f64> {
    Ok(lb_testbed::process_memory(pid, "RssAnon")? as f64 / f64::from(1 << 20))
}
