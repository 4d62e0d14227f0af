//! The in-memory twin of the maps, for tests of everything above them.

use lb_common::maps::{Service, ServiceKey};

use super::{TableError, Tables};
use crate::plan::mirror::{Mirror, Op};

/// Maps that are none; optionally they fail at a certain write.
#[derive(Default)]
pub struct MemoryTables {
    pub mirror: Mirror,
    /// All changes, in their order.
    pub log: Vec<Op>,
    /// Fail when the log is this long.
    pub fail_at: Option<usize>,
}

impl Tables for MemoryTables {
    fn write(&mut self, op: &Op) -> Result<(), TableError> {
        if self.fail_at == Some(self.log.len()) {
            return Err(TableError {
                map: "MEMORY",
                entry: format!("{op:?}"),
                source: "told to fail".into(),
            });
        }
        self.mirror.apply(op);
        self.log.push(op.clone());
        Ok(())
    }

    fn service(&self, key: &ServiceKey) -> Result<Option<Service>, TableError> {
        Ok(self.mirror.services.get(key).copied())
    }

    fn read(&self) -> Result<Mirror, TableError> {
        // What is in no map.
        let (written, quarantine) = Default::default();
        Ok(Mirror { written, quarantine, ..self.mirror.clone() })
    }
}
