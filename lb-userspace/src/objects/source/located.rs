//! Where an object was read.

use std::{path::Path, sync::Arc};

use super::{lines::FieldLines, object::Object};
use crate::objects::model::Problem;

/// Where an object was read. Cheap to copy.
#[derive(Clone, PartialEq, Debug)]
pub struct Origin {
    pub file: Arc<Path>,
    pub lines: Arc<FieldLines>,
}

impl Origin {
    /// `file:line` of a field, or of the nearest one around it that is there.
    pub fn location_of(&self, field: &str) -> String {
        format!("{}:{}", self.file.display(), self.lines.line_of(field))
    }

    pub fn locate_problem(&self, problem: Problem) -> Problem {
        Problem { location: Some(self.location_of(&problem.field).into()), ..problem }
    }
}

/// An object and where it was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Located {
    pub object: Object,
    pub origin: Origin,
}
