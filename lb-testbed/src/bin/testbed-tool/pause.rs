//! `pause`: keeps the namespaces of a Pod in being.

use anyhow::Result;

use crate::signals::Termination;

pub fn run() -> Result<()> {
    Termination::block()?.wait()
}
