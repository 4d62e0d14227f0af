//! What an earlier agent left in the maps.

use super::{TableError, Tables};
use crate::plan::mirror::Mirror;

/// The mirror of the maps as they are at the start. Orphans are deleted from both.
pub fn adopt_maps(tables: &mut impl Tables) -> Result<Mirror, TableError> {
    let mut mirror = tables.read_mirror()?;
    for op in mirror.orphan_deletions() {
        tables.write(&op)?;
        mirror.apply(&op);
    }
    Ok(mirror)
}
