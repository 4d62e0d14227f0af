//! What is in the maps, read back.

use lb_common::maps::ServiceKey;

use super::{TableError, Tables};
use crate::plan::mirror::Mirror;

/// Is the entry in the kernel the one that we believe to have written?
pub fn prove(tables: &impl Tables, mirror: &Mirror, key: &ServiceKey) -> Result<Option<u32>, TableError> {
    let found = tables.service(key)?;
    Ok(found.filter(|found| mirror.services.get(key) == Some(found)).map(|found| found.generation))
}
