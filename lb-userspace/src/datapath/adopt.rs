//! What an earlier agent left in the maps.

use super::{TableError, Tables};
use crate::plan::mirror::Mirror;

/// What a start finds: the mirror of the maps, orphans removed.
pub fn adopt(tables: &mut impl Tables) -> Result<Mirror, TableError> {
    let mut mirror = tables.read()?;
    for op in mirror.orphans() {
        tables.write(&op)?;
        mirror.apply(&op);
    }
    Ok(mirror)
}
