//! What an earlier agent, or changes that failed, left in the maps.

use super::{
    TableError, Tables,
    apply::{Applied, write_all},
};
use crate::plan::mirror::Mirror;

/// The mirror of the maps as they are at the start. Endpoints and ranges that no service asks for are still
/// in it.
pub fn adopt_maps(tables: &impl Tables) -> Result<Mirror, TableError> {
    let mut mirror = tables.read_mirror()?;
    // An earlier agent may have died before its sweeps were done.
    mirror.quarantine.needs_sweep = true;
    Ok(mirror)
}

/// Deletes what no service names, from the maps and from the mirror.
pub fn delete_orphans(tables: &mut impl Tables, mirror: &mut Mirror) -> Applied {
    let ops = mirror.orphan_deletions();
    write_all(tables, mirror, ops)
}
