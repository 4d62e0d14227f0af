//! What can be done with the maps that the control plane writes.

use crate::plan::{mirror::Mirror, op::Op, quarantine::Sweeps};

/// What a map operation can fail with: the map, the entry, the reason.
#[derive(Debug, thiserror::Error)]
#[error("map {map}: {entry}: {source}")]
pub struct TableError {
    pub map: &'static str,
    pub entry: String,
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// The maps that the control plane writes.
pub trait Tables {
    /// Carry out one change.
    fn write(&mut self, op: &Op) -> Result<(), TableError>;

    /// Is in the maps what this change, the last of its entry, has made there?
    fn holds(&self, op: &Op) -> Result<bool, TableError>;

    /// The sweeps that `Forget` changes have asked for, and those that are done.
    fn sweeps(&self) -> Sweeps;

    /// All that is there, to begin from after a restart.
    fn read_mirror(&self) -> Result<Mirror, TableError>;
}
