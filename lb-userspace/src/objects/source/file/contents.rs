//! What was read of one file.

use std::{
    collections::{HashMap, hash_map::Entry},
    path::Path,
    sync::Arc,
};

use crate::objects::{
    model::Problem,
    source::{
        located::{Located, Origin},
        object::{Object, ObjectRef},
    },
};

/// What was read of one file.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FileContents {
    /// Most files have few, and a BTreeMap has room for eleven.
    pub objects: HashMap<ObjectRef, Located>,
    /// Problems of objects about announcing; the other objects are used all the same.
    pub refused: Vec<Problem>,
    /// With any of these, no object of the file is used.
    pub faults: Vec<Problem>,
}

/// A file that is read again with the same contents is the same `Arc`. Not sorted, since paths take
/// long to compare.
pub type Files = HashMap<Arc<Path>, Arc<FileContents>>;

impl FileContents {
    pub fn faulty(problem: Problem) -> Self {
        Self { faults: vec![problem], ..Self::default() }
    }

    /// Adds an object. Which of two with one name is meant is unknown. If they are about announcing,
    /// they become one that is unreadable; otherwise, it is a fault.
    pub fn add(&mut self, located: Located) {
        let this = located.object.object_ref();
        match self.objects.entry(this.clone()) {
            Entry::Vacant(entry) => drop(entry.insert(located)),
            Entry::Occupied(mut entry) => {
                let problem = duplicate_problem(&this, &entry.get().origin, &located.origin);
                if this.kind.is_announcing() {
                    entry.get_mut().object = Object::Unreadable(this);
                    self.refused.push(problem);
                } else {
                    self.faults.push(problem);
                }
            }
        }
    }
}

/// The problem that an object is there a second time.
pub fn duplicate_problem(this: &ObjectRef, first: &Origin, second: &Origin) -> Problem {
    let message = format!("is there twice, first at {}", first.location_of("metadata.name"));
    second.locate_problem(this.problem("metadata.name", message, "remove or rename one of the two"))
}
