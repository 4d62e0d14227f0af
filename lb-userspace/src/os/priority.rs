//! Priority for threads that have to meet deadlines.

use rustix::process::setpriority_process;
use tracing::warn;

/// Lets the calling thread run before others that want the processor too. A packet
/// or probe that is sent late makes a living node look dead.
pub fn prefer_this_thread(what: &str) {
    // On Linux the priority belongs to the thread, not to the process.
    if let Err(error) = setpriority_process(None, -20) {
        warn!("cannot raise the priority of {what}: {error}; the agent needs CAP_SYS_NICE");
    }
}
