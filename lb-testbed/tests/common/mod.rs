//! What several of the tests need.

use std::{
    thread,
    time::{Duration, Instant},
};

pub const TOOL: &str = env!("CARGO_BIN_EXE_testbed-tool");

/// Waits for what takes its time.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within 5 s");
        thread::sleep(Duration::from_millis(20));
    }
}
