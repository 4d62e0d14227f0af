//! Threads that others wait for with a stopwatch.

use rustix::process::setpriority_process;
use tracing::warn;

/// Let the calling thread run before others that want the processor too: who
/// is late is held for dead.
pub fn prefer_this_thread(what: &str) {
    // To Linux, a priority is a thread's.
    if let Err(error) = setpriority_process(None, -20) {
        warn!("cannot raise the priority of {what}: {error}; the agent needs CAP_SYS_NICE");
    }
}
