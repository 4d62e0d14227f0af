//! What a source reports.

use super::{
    kind::Kind,
    located::{Located, Origin},
    object::{Object, ObjectRef},
};
use crate::objects::model::Problem;

/// What happened to one object, or how far a source is with all of a kind.
#[derive(Clone, PartialEq, Debug)]
pub enum Change<O = Object> {
    /// It is there, or there in another version. From where, if that is a file.
    Put(O, Option<Origin>),
    Gone(ObjectRef),
    /// All objects of this kind that there were when the source began have been put. Said once.
    Synced(Kind),
}

impl From<Located> for Change {
    fn from(Located { object, origin }: Located) -> Self {
        Self::Put(object, Some(origin))
    }
}

/// What is new at a source.
#[derive(Clone, PartialEq, Debug)]
pub struct Update<O = Object> {
    pub changes: Vec<Change<O>>,
    /// Why some of the source is not in effect as it is there now.
    pub faults: Vec<Problem>,
    /// What is wrong with objects about announcing, which concern nobody else.
    pub refused: Vec<Problem>,
    /// All versions of Services up to this `metadata.resourceVersion` have been told; 0 if there are no versions.
    pub seen: u64,
}

impl<O> Default for Update<O> {
    fn default() -> Self {
        Self { changes: Vec::new(), faults: Vec::new(), refused: Vec::new(), seen: 0 }
    }
}
