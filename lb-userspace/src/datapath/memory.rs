//! The in-memory twin of the maps, for tests of everything above them.

use lb_common::maps::{Service, ServiceKey};

use super::{TableError, Tables};
use crate::state::{Op, State};

/// Maps that are none; optionally they fail at a certain write.
#[derive(Default)]
pub struct Memory {
    pub state: State,
    /// All changes, in their order.
    pub log: Vec<Op>,
    /// Fail when the log is this long.
    pub fail_at: Option<usize>,
}

impl Tables for Memory {
    fn write(&mut self, op: &Op) -> Result<(), TableError> {
        if self.fail_at == Some(self.log.len()) {
            return Err(TableError {
                map: "MEMORY",
                entry: format!("{op:?}"),
                source: "told to fail".into(),
            });
        }
        self.state.apply(op);
        self.log.push(op.clone());
        Ok(())
    }

    fn service(&self, key: &ServiceKey) -> Result<Option<Service>, TableError> {
        Ok(self.state.services.get(key).copied())
    }

    fn read(&self) -> Result<State, TableError> {
        // What is in no map.
        let (written, retired, resting) = Default::default();
        Ok(State { written, retired, resting, ..self.state.clone() })
    }
}
