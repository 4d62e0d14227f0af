//! Changes, carried out.

use super::{TableError, Tables};
use crate::plan::{diff::Diff, mirror::Mirror};

/// Carry out a diff, in its order, in the maps and in the mirror of them.
///
/// Stops at the first error: what was done is in `mirror`, so that the next
/// diff goes on from there.
pub fn apply(tables: &mut impl Tables, mirror: &mut Mirror, diff: Diff) -> Result<(), TableError> {
    for op in &diff.ops {
        tables.write(op)?;
        mirror.apply(op);
    }
    mirror.written.extend(diff.written);
    Ok(())
}
