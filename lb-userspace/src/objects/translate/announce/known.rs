//! The objects that others may refer to.

use std::collections::{BTreeMap, BTreeSet};

use crate::objects::source::{Kind, Object, ObjectRef};

/// All objects about announcing.
pub type AnnouncingObjects = BTreeMap<ObjectRef, Object>;

/// The objects that others may refer to.
pub struct KnownObjects<'a> {
    pub objects: &'a AnnouncingObjects,
    /// Also of those that are not good.
    pub names: BTreeSet<(Kind, &'a str)>,
}

impl KnownObjects<'_> {
    pub fn contains(&self, kind: Kind, name: &str) -> bool {
        self.names.contains(&(kind, name))
    }

    /// The names of a kind, as a text for remedies.
    pub fn list_names(&self, kind: Kind) -> String {
        let names: Vec<_> = self.names.iter().filter(|(of, _)| *of == kind).map(|(_, name)| *name).collect();
        if names.is_empty() {
            format!("there is no {kind} at all")
        } else {
            format!("there are: {}", names.join(", "))
        }
    }
}
