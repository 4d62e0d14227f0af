//! Changes, carried out.

use lb_common::maps::names;

use super::{TableError, Tables};
use crate::plan::{
    diff::{Diff, ServiceChange},
    mirror::Mirror,
    op::Op,
};

/// What became of changes.
#[derive(Debug, Default)]
pub struct Applied {
    /// Those that were made, in their order.
    pub ops: Vec<Op>,
    pub failures: Vec<TableError>,
}

/// Carry out a diff, in its order, in the maps and in the mirror of them.
///
/// What fails holds up only what depends on it; what was done is in `mirror`, so that the
/// next diff goes on from there.
pub fn apply(tables: &mut impl Tables, mirror: &mut Mirror, diff: Diff) -> Applied {
    let mut work = Work { tables, mirror, applied: Applied::default() };
    diff.deleted.into_iter().for_each(|change| work.apply_service(change));
    diff.passed.into_iter().for_each(|change| work.apply_service(change));
    diff.shared.into_iter().for_each(|op| work.apply_shared(op));
    diff.slots.into_iter().for_each(|op| work.apply_shared(op));
    diff.services.into_iter().for_each(|change| work.apply_service(change));
    diff.cleared.into_iter().for_each(|op| work.apply_cleared(op));
    work.applied
}

/// Make the changes again whose entries could not be read back.
pub fn restore(tables: &mut impl Tables, mirror: &mut Mirror) -> Applied {
    let ops = mirror.unproven.values().cloned().collect();
    write_all(tables, mirror, ops)
}

/// Make changes that don't depend on each other.
pub fn write_all(tables: &mut impl Tables, mirror: &mut Mirror, ops: Vec<Op>) -> Applied {
    let mut work = Work { tables, mirror, applied: Applied::default() };
    for op in ops {
        if !work.would_dangle(&op) {
            work.write(op);
        }
    }
    work.applied
}

struct Work<'a, T> {
    tables: &'a mut T,
    mirror: &'a mut Mirror,
    applied: Applied,
}

impl<T: Tables> Work<'_, T> {
    /// If one change of an entry fails, those behind it are not made.
    fn apply_shared(&mut self, op: Op) {
        let has_failed = op.entry().is_some_and(|entry| self.mirror.failed.contains_key(&entry));
        // The service could not be deleted.
        let is_used = |vip| self.mirror.services_of(vip).any(|(_, service)| !service.is_passed());
        let is_kept = matches!(op, Op::DeleteVip(vip) if is_used(vip));
        if !has_failed && !is_kept && !self.would_dangle(&op) {
            self.write(op);
        }
    }

    fn apply_service(&mut self, ServiceChange { key, written, ops }: ServiceChange) {
        let needs_vip = written.as_ref().is_some_and(|written| !written.planned.is_passed());
        let lacks_vip = needs_vip && !self.mirror.vips.contains_key(&key.addr);
        let lacks_slots =
            |op: &Op| matches!(op, Op::SetService(_, service) if !self.mirror.has_slots(service));
        if lacks_vip || ops.iter().any(lacks_slots) {
            self.applied.failures.push(TableError {
                map: names::SERVICES,
                entry: format!("{key:?}"),
                source: "its VIP, its ring or its history could not be written".into(),
            });
            return;
        }
        if !ops.is_empty() {
            // From the first change on it is not what it was, and not yet what it will be.
            self.mirror.written.remove(&key);
        }
        if ops.into_iter().all(|op| self.write(op))
            && let Some(written) = written
        {
            self.mirror.written.insert(key, written);
        }
    }

    /// A backend that is still named is kept: the service that names it could not be changed.
    fn apply_cleared(&mut self, op: Op) {
        let is_kept = matches!(op, Op::ClearBackend(id) if self.mirror.uses.names(id));
        if !is_kept {
            self.write(op);
        }
    }

    /// Does it name a backend or a slot that could not be written, or is gone by now?
    fn would_dangle(&self, op: &Op) -> bool {
        if let Op::SetEndpoint(key, slot) = op {
            return self.mirror.endpoint_slots.get(*slot).is_none_or(|held| held.service != key.service);
        }
        let is_missing = |id: u16| !self.mirror.backends.contains_key(&id);
        op.named_backends().into_iter().any(is_missing)
    }

    fn write(&mut self, op: Op) -> bool {
        match self.tables.write(&op) {
            Ok(()) => {
                self.mirror.apply(&op);
                self.applied.ops.push(op);
                true
            }
            Err(error) => {
                self.mirror.failed.extend(op.entry().map(|entry| (entry, op)));
                self.applied.failures.push(error);
                false
            }
        }
    }
}
