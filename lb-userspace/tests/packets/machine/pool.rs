//! Machines that stories are over with. To load one anew for every story would
//! take most of the time that the tests take.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    sync::Mutex,
};

use super::{Machine, Setup, fill};

static IDLE: Mutex<BTreeMap<Setup, Vec<Machine>>> = Mutex::new(BTreeMap::new());

/// A machine for one story.
pub struct Lent {
    setup: Setup,
    /// Taken only when it is dropped.
    machine: Option<Machine>,
}

/// A machine like a new one; but its counters go on from where they were, and
/// so do entries that no other story has.
pub fn lend(setup: Setup) -> Lent {
    let idle = IDLE.lock().unwrap().get_mut(&setup).and_then(Vec::pop);
    let mut machine = idle.unwrap_or_else(|| Machine::new(setup));
    fill::all(&mut machine.ebpf);
    machine.forget_flows();
    Lent { setup, machine: Some(machine) }
}

impl Deref for Lent {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        self.machine.as_ref().unwrap()
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Machine {
        self.machine.as_mut().unwrap()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Ok(mut idle), Some(machine)) = (IDLE.lock(), self.machine.take()) {
            idle.entry(self.setup).or_default().push(machine);
        }
    }
}
