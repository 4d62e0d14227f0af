//! All objects that a source has at one moment, and what changed since another.

use std::{collections::HashMap, path::Path, sync::Arc};

use super::{
    lines::Lines,
    object::{Object, ObjectRef},
};
use crate::objects::model::Problem;

/// Where an object was read. Cheap to copy.
#[derive(Clone, PartialEq, Debug)]
pub struct Origin {
    pub file: Arc<Path>,
    pub lines: Arc<Lines>,
}

impl Origin {
    /// `file:line` of a field, or of the nearest one around it that is there.
    pub fn location_of(&self, field: &str) -> String {
        format!("{}:{}", self.file.display(), self.lines.line_of(field))
    }

    pub fn locate_problem(&self, problem: Problem) -> Problem {
        Problem { location: Some(self.location_of(&problem.field)), ..problem }
    }
}

/// An object and where it was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Located {
    pub object: Object,
    pub origin: Origin,
}

/// All objects of a source, in its own order; each is there once.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Listing {
    pub objects: Vec<Located>,
    /// Problems of objects about announcing; the other objects are used all the same.
    pub problems: Vec<Problem>,
}

impl Listing {
    /// Adds `file:line` to problems of its objects.
    pub fn locate_problems(&self, problems: Vec<Problem>) -> Vec<Problem> {
        if problems.is_empty() {
            return problems;
        }
        let origins: HashMap<String, &Origin> =
            self.objects.iter().map(|l| (l.object.object_ref().to_string(), &l.origin)).collect();
        let locate = |problem: Problem| match origins.get(&problem.object) {
            Some(origin) => origin.locate_problem(problem),
            None => problem,
        };
        problems.into_iter().map(locate).collect()
    }
}

/// What happened to one object.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    Put(Object),
    Gone(ObjectRef),
}

/// The changes that lead from one listing to the next.
pub fn changes_between(before: &Listing, now: &Listing) -> Vec<Change> {
    let mut gone: HashMap<ObjectRef, &Object> =
        before.objects.iter().map(|located| (located.object.object_ref(), &located.object)).collect();
    let mut changes = Vec::new();
    for Located { object, .. } in &now.objects {
        if gone.remove(&object.object_ref()) != Some(object) {
            changes.push(Change::Put(object.clone()));
        }
    }
    changes.extend(gone.into_keys().map(Change::Gone));
    changes
}

#[cfg(test)]
mod tests;
