//! Changes, carried out.

use std::collections::BTreeSet;

use lb_common::{Addr, maps::ServiceKey};

use super::{TableError, Tables};
use crate::plan::{
    diff::{Diff, ServiceChange},
    mirror::{Mirror, Op},
};

/// What became of a diff.
#[derive(Debug, Default)]
pub struct Applied {
    /// Services of which every change was made.
    pub written: Vec<ServiceKey>,
    pub failures: Vec<TableError>,
}

/// Carry out a diff, in its order, in the maps and in the mirror of them.
///
/// What fails holds up only what depends on it; what was done is in `mirror`, so that the
/// next diff goes on from there.
pub fn apply(tables: &mut impl Tables, mirror: &mut Mirror, diff: Diff) -> Applied {
    let mut work = Work { tables, mirror, missing: Missing::default(), applied: Applied::default() };
    diff.first.into_iter().for_each(|op| work.apply_first(op));
    diff.services.into_iter().for_each(|change| work.apply_service(change));
    work.apply_last(diff.last);
    work.applied
}

/// What could not be written, so that nothing may name it.
#[derive(Default)]
struct Missing {
    backends: BTreeSet<u16>,
    vips: BTreeSet<Addr>,
}

struct Work<'a, T> {
    tables: &'a mut T,
    mirror: &'a mut Mirror,
    missing: Missing,
    applied: Applied,
}

impl<T: Tables> Work<'_, T> {
    fn apply_first(&mut self, op: Op) {
        if self.missing.is_named_by(&op) {
            return;
        }
        if self.write(&op) {
            if let Op::SetService(key, _) = op {
                self.applied.written.push(key);
            }
            return;
        }
        match op {
            // An older entry still leads to the same backend.
            Op::SetBackend(id, _) if !self.mirror.backends.contains_key(&id) => {
                self.missing.backends.insert(id);
            }
            Op::SetVip(addr, _) if !self.mirror.vips.contains_key(&addr) => {
                self.missing.vips.insert(addr);
            }
            _ => {}
        }
    }

    fn apply_service(&mut self, ServiceChange { key, written, ops }: ServiceChange) {
        let lacks_vip = written.is_some() && self.missing.vips.contains(&key.addr);
        if lacks_vip || ops.iter().any(|op| self.missing.is_named_by(op)) {
            return;
        }
        if !ops.is_empty() {
            // From the first change on it is not what it was, and not yet what it will be.
            self.mirror.written.remove(&key);
        }
        if ops.iter().all(|op| self.write(op))
            && let Some(written) = written
        {
            self.mirror.written.insert(key, written);
            self.applied.written.push(key);
        }
    }

    /// A backend that a ring or a history still names is kept: its service could not be changed.
    fn apply_last(&mut self, ops: Vec<Op>) {
        if ops.is_empty() {
            return;
        }
        let named = self.mirror.named_backends();
        let is_kept = |op: &Op| match op {
            Op::ClearBackend(id) | Op::ForgetBackend { backend: id } => named.contains(id),
            _ => false,
        };
        for op in ops.into_iter().filter(|op| !is_kept(op)) {
            self.write(&op);
        }
    }

    fn write(&mut self, op: &Op) -> bool {
        match self.tables.write(op) {
            Ok(()) => {
                self.mirror.apply(op);
                true
            }
            Err(error) => {
                self.applied.failures.push(error);
                false
            }
        }
    }
}

impl Missing {
    fn is_named_by(&self, op: &Op) -> bool {
        if self.backends.is_empty() {
            return false;
        }
        let is_missing = |id: &u16| self.backends.contains(id);
        match op {
            Op::SetPeer(_, peer) => u16::try_from(peer.backend).is_ok_and(|id| is_missing(&id)),
            Op::WriteRing { slots, .. } => slots.iter().any(is_missing),
            Op::WriteHistory { owners, .. } => owners.iter().flat_map(|slot| &slot.ids).any(is_missing),
            _ => false,
        }
    }
}
