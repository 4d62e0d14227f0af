//! `cargo xtask check`: the part of `cargo xtask test` that needs neither root nor
//! the eBPF object, and takes less than a minute.

use anyhow::Result;

use crate::{style, test};

pub fn run() -> Result<()> {
    style::run()?;
    test::run_unit_tests(None)
}
