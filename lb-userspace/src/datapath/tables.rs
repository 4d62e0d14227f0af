//! What can be done with the maps that the control plane writes.

use lb_common::maps::{Service, ServiceKey};

use crate::plan::mirror::{Mirror, Op};

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

    /// The entry of `SERVICES`, as proof.
    fn read_service(&self, key: &ServiceKey) -> Result<Option<Service>, TableError>;

    /// All that is there, to begin from after a restart.
    fn read_mirror(&self) -> Result<Mirror, TableError>;
}
