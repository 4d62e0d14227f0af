//! Which of two objects has precedence.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::ObjectMeta, jiff::Timestamp};

use super::object::{Object, ObjectRef};

/// The order of precedence: the older object, so that a new one can't take
/// what another has; then the name, so that all machines decide the same. An object
/// without a creation time, as in a file, counts as the oldest; among such, what was seen
/// first is older.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rank {
    born: Option<Timestamp>,
    /// 0 for an object with a creation time: when others saw it, machines don't know.
    seen: u64,
    pub object: ObjectRef,
}

impl Rank {
    /// `seen` counts the loads of a source.
    pub fn new(meta: &ObjectMeta, seen: u64, object: ObjectRef) -> Self {
        let born = meta.creation_timestamp.as_ref().map(|time| time.0);
        Self { born, seen: if born.is_some() { 0 } else { seen }, object }
    }

    pub fn of(object: &Object) -> Self {
        let born = object.metadata().and_then(|meta| meta.creation_timestamp.as_ref());
        Self { born: born.map(|time| time.0), seen: 0, object: object.object_ref() }
    }
}
