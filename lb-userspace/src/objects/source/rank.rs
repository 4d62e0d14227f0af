//! Which of two objects has precedence.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::ObjectMeta, jiff::Timestamp};

use super::object::{Object, ObjectRef};

/// The order of precedence: the older object, so that a new one can't take
/// what another has; then the name, so that all machines decide the same. An object
/// without a creation time counts as the oldest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rank {
    born: Option<Timestamp>,
    pub object: ObjectRef,
}

impl Rank {
    pub fn new(meta: &ObjectMeta, object: ObjectRef) -> Self {
        Self { born: meta.creation_timestamp.as_ref().map(|time| time.0), object }
    }

    pub fn of(object: &Object) -> Self {
        let born = object.metadata().and_then(|meta| meta.creation_timestamp.as_ref());
        Self { born: born.map(|time| time.0), object: object.object_ref() }
    }
}
