//! Which of two objects has precedence.

use k8s_openapi::jiff::Timestamp;

use super::object::{Object, ObjectRef};

/// The older object, then the name. An object without a creation time, as in a file, counts as the
/// oldest; but see [`Rank::precedence`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rank {
    born: Option<Timestamp>,
    pub object: ObjectRef,
}

impl Rank {
    pub fn new(born: Option<Timestamp>, object: ObjectRef) -> Self {
        Self { born, object }
    }

    pub fn of(object: &Object) -> Self {
        Self::new(object.born(), object.object_ref())
    }

    /// Who comes first among those that ask for the same thing. `holds`: it has that thing now.
    /// By creation times all machines decide alike, whatever they have seen before. An object
    /// without one keeps what it holds, and takes nothing from others.
    pub fn precedence(&self, holds: bool) -> (u8, &Self) {
        let class = match (self.born, holds) {
            (None, true) => 0,
            (Some(_), _) => 1,
            (None, false) => 2,
        };
        (class, self)
    }
}
