//! The maps behind a trait, so that all above it can be tested without a
//! kernel, and the shell that carries changes there and reads the proof back.

pub mod kernel;
pub mod memory;

use lb_common::maps::{Service, ServiceKey};

use crate::{
    diff::Diff,
    state::{Op, State},
};

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
    fn service(&self, key: &ServiceKey) -> Result<Option<Service>, TableError>;

    /// All that is there, to begin from after a restart.
    fn read(&self) -> Result<State, TableError>;
}

/// Carry out a diff, in its order, in the maps and in the mirror of them.
///
/// Stops at the first error: what was done is in `state`, so that the next
/// diff goes on from there.
pub fn apply(tables: &mut impl Tables, state: &mut State, diff: Diff) -> Result<(), TableError> {
    for op in &diff.ops {
        tables.write(op)?;
        state.apply(op);
    }
    state.written.extend(diff.written);
    Ok(())
}

/// Is the entry in the kernel the one that we believe to have written?
pub fn prove(tables: &impl Tables, state: &State, key: &ServiceKey) -> Result<Option<u32>, TableError> {
    let found = tables.service(key)?;
    Ok(found.filter(|found| state.services.get(key) == Some(found)).map(|found| found.generation))
}

/// What a start finds: the mirror of the maps, orphans removed.
pub fn adopt(tables: &mut impl Tables) -> Result<State, TableError> {
    let mut state = tables.read()?;
    for op in state.orphans() {
        tables.write(&op)?;
        state.apply(&op);
    }
    Ok(state)
}
