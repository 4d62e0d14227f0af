//! What is in the maps, read back.

use lb_common::maps::ServiceKey;

use super::{TableError, Tables};
use crate::plan::mirror::Mirror;

/// The generation of the service's entry in the kernel, if the entry is the one in the
/// mirror; none if it is missing or differs.
pub fn proven_generation(
    tables: &impl Tables,
    mirror: &Mirror,
    key: &ServiceKey,
) -> Result<Option<u32>, TableError> {
    let found = tables.read_service(key)?;
    Ok(found.filter(|found| mirror.services.get(key) == Some(found)).map(|found| found.generation))
}
