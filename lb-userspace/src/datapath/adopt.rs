//! What an earlier agent, or changes that failed, left in the maps.

use super::{TableError, Tables};
use crate::plan::mirror::Mirror;

/// The mirror of the maps as they are at the start, without orphans.
pub fn adopt_maps(tables: &mut impl Tables) -> Result<Mirror, TableError> {
    let mut mirror = tables.read_mirror()?;
    delete_orphans(tables, &mut mirror)?;
    Ok(mirror)
}

/// Deletes what no service names, from the maps and from the mirror.
pub fn delete_orphans(tables: &mut impl Tables, mirror: &mut Mirror) -> Result<(), TableError> {
    mirror.forget_unnamed_slots();
    for op in mirror.orphan_deletions() {
        tables.write(&op)?;
        mirror.apply(&op);
    }
    Ok(())
}
