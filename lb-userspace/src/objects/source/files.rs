//! What the files of a source have, each by itself and all together.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{
    listing::{Listing, Located},
    object::{Object, ObjectRef},
};
use crate::objects::model::Problem;

/// What was read of one file.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FileContents {
    pub listing: Listing,
    /// With any of these, no object of the file is used.
    pub faults: Vec<Problem>,
}

/// A file that is read again with the same contents is the same `Arc`.
pub type Files = BTreeMap<Arc<Path>, Arc<FileContents>>;

/// All files of a source, or why they cannot be listed.
pub type LoadResult = Result<Files, Vec<Problem>>;

/// All objects of these files; or all that is wrong with them, if that is anything.
pub fn join_files<'a>(files: impl Iterator<Item = &'a FileContents>) -> Result<Listing, Vec<Problem>> {
    let mut all = FileContents::default();
    for file in files {
        all.listing.objects.extend(file.listing.objects.iter().cloned());
        all.listing.problems.extend(file.listing.problems.iter().cloned());
        all.faults.extend(file.faults.iter().cloned());
    }
    all.remove_duplicates();
    if all.faults.is_empty() { Ok(all.listing) } else { Err(all.faults) }
}

impl FileContents {
    /// Which of two objects with one name is meant is unknown. If they are about announcing, they
    /// become one that is unreadable; otherwise, it is a fault.
    fn remove_duplicates(&mut self) {
        let mut first: BTreeMap<ObjectRef, usize> = BTreeMap::new();
        let mut objects: Vec<Located> = Vec::with_capacity(self.listing.objects.len());
        for Located { object, origin } in std::mem::take(&mut self.listing.objects) {
            let this = object.object_ref();
            let Some(other) = first.get(&this).and_then(|index| objects.get_mut(*index)) else {
                first.insert(this, objects.len());
                objects.push(Located { object, origin });
                continue;
            };
            let message = format!("is there twice, first at {}", other.origin.location_of("metadata.name"));
            let problem = this.problem("metadata.name", message, "remove or rename one of the two");
            let problem = origin.locate_problem(problem);
            if this.kind.is_announcing() {
                other.object = Object::Unreadable(this);
                self.listing.problems.push(problem);
            } else {
                self.faults.push(problem);
            }
        }
        self.listing.objects = objects;
    }
}
