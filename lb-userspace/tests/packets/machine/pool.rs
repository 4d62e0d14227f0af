//! Machines of finished tests, for reuse: to load a new one for every test would
//! take most of the tests' time.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    sync::Mutex,
};

use super::{Machine, Setup, fill};

static IDLE: Mutex<BTreeMap<Setup, Vec<Machine>>> = Mutex::new(BTreeMap::new());

/// A machine for one story.
pub struct LentMachine {
    setup: Setup,
    /// Taken only when it is dropped.
    machine: Option<Machine>,
}

/// A machine with its maps written anew and its flow tables empty. Counters and all
/// other entries are as the last test left them.
pub fn lend_machine(setup: Setup) -> LentMachine {
    let idle = IDLE.lock().unwrap().get_mut(&setup).and_then(Vec::pop);
    let mut machine = idle.unwrap_or_else(|| Machine::new(setup));
    fill::write_all_maps(&mut machine.ebpf);
    machine.forget_flows();
    LentMachine { setup, machine: Some(machine) }
}

impl Deref for LentMachine {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        self.machine.as_ref().unwrap()
    }
}

impl DerefMut for LentMachine {
    fn deref_mut(&mut self) -> &mut Machine {
        self.machine.as_mut().unwrap()
    }
}

impl Drop for LentMachine {
    fn drop(&mut self) {
        if let (Ok(mut idle), Some(machine)) = (IDLE.lock(), self.machine.take()) {
            idle.entry(self.setup).or_default().push(machine);
        }
    }
}
