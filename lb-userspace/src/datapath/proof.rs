//! What is in the maps, read back. The slabs are memory that is shared with the kernel: of them,
//! this finds only what another program has written.

use super::{TableError, Tables};
use crate::plan::{mirror::Mirror, op::Op};

/// Reads back what changes wrote, and notes in the mirror what is not there. Returns why.
pub fn read_back(tables: &impl Tables, mirror: &mut Mirror, ops: Vec<Op>) -> Vec<TableError> {
    let mut failures = Vec::new();
    for op in ops {
        let Some(entry) = op.entry() else { continue };
        let failure = match tables.holds(&op) {
            Ok(true) => continue,
            Ok(false) => TableError {
                map: entry.map_name(),
                entry: format!("{entry:?}"),
                source: "what was read back is not what was written".into(),
            },
            Err(error) => error,
        };
        failures.push(failure);
        mirror.doubt(entry, op);
    }
    failures
}
