//! Changes, carried out.

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
    diff.shared.into_iter().for_each(|op| work.apply_shared(op));
    diff.services.into_iter().for_each(|change| work.apply_service(change));
    diff.cleared.into_iter().for_each(|op| work.apply_cleared(op));
    work.applied
}

/// Make the changes again whose entries could not be read back.
pub fn restore(tables: &mut impl Tables, mirror: &mut Mirror) -> Applied {
    let ops: Vec<Op> = mirror.unproven.values().cloned().collect();
    let mut work = Work { tables, mirror, applied: Applied::default() };
    for op in ops {
        work.write(op);
    }
    work.applied
}

struct Work<'a, T> {
    tables: &'a mut T,
    mirror: &'a mut Mirror,
    applied: Applied,
}

impl<T: Tables> Work<'_, T> {
    fn apply_shared(&mut self, op: Op) {
        if !self.would_dangle(&op) {
            self.write(op);
        }
    }

    fn apply_service(&mut self, ServiceChange { key, written, ops }: ServiceChange) {
        let lacks_vip = written.is_some() && !self.mirror.vips.contains_key(&key.addr);
        if lacks_vip || ops.iter().any(|op| self.would_dangle(op)) {
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
        let is_kept = match op {
            Op::ClearBackend(id) | Op::ForgetBackend { backend: id } => self.mirror.uses.names(id),
            _ => false,
        };
        if !is_kept {
            self.write(op);
        }
    }

    /// Does it name a backend that could not be written?
    fn would_dangle(&self, op: &Op) -> bool {
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
                self.applied.failures.push(error);
                false
            }
        }
    }
}
