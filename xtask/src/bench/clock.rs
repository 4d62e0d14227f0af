//! The clock that measures a packet's cost.

use std::mem;

use anyhow::{Result, ensure};

/// Nanoseconds that this thread has had the CPU. Unlike the kernel's own figure
/// it is not rounded to whole nanoseconds per packet, and unlike the wall clock
/// it leaves out the time of others, and that in which the kernel waits for a
/// grace period before it runs an XDP program.
pub fn cpu_time() -> Result<f64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `time` and nothing else.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    ensure!(done == 0, std::io::Error::last_os_error());
    Ok(time.tv_sec as f64 * 1e9 + time.tv_nsec as f64)
}

/// Stay on one CPU.
pub fn pin_to_cpu(cpu: usize) -> Result<()> {
    ensure!(cpu < libc::CPU_SETSIZE as usize, "no such CPU");
    // SAFETY: the set is a plain bit field, and lives as long as the call.
    let done = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    ensure!(done == 0, std::io::Error::last_os_error());
    Ok(())
}
