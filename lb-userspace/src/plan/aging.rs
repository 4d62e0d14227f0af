//! What rests for a while.

use std::mem;

/// What was added since the last call of [`Aging::release`] but one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Aging<T> {
    young: T,
    old: T,
}

impl<T: Default> Aging<T> {
    /// What is added here rests for one call of [`Aging::release`], and ends with the second.
    pub fn young(&mut self) -> &mut T {
        &mut self.young
    }

    pub fn all(&self) -> [&T; 2] {
        [&self.young, &self.old]
    }

    pub fn all_mut(&mut self) -> [&mut T; 2] {
        [&mut self.young, &mut self.old]
    }

    /// Returns what was here at the last call.
    pub fn release(&mut self) -> T {
        mem::replace(&mut self.old, mem::take(&mut self.young))
    }
}
