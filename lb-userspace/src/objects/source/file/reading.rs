//! What was read of a directory so far.

use std::collections::BTreeMap;

use crate::objects::{
    model::Problem,
    source::{
        listing::{Listing, Located},
        object::{Object, ObjectRef},
    },
};

#[derive(Default)]
pub struct Reading {
    pub listing: Listing,
    /// With any of these, no object of the directory is used.
    pub problems: Vec<Problem>,
}

impl Reading {
    pub fn into_result(mut self) -> Result<Listing, Vec<Problem>> {
        self.remove_duplicates();
        if self.problems.is_empty() { Ok(self.listing) } else { Err(self.problems) }
    }

    /// Which of two objects with one name is meant is unknown. If they are about announcing, they
    /// become one that is unreadable; otherwise, nothing of the directory is used.
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
                self.problems.push(problem);
            }
        }
        self.listing.objects = objects;
    }
}
