//! All objects of a directory at one moment.

use std::path::Path;

use super::{
    read::{Look, Reader},
    store::Store,
};
use crate::objects::{
    model::Problem,
    source::{Change, Located, Update},
};

/// All objects of a directory at one moment; each is there once.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Listing {
    pub objects: Vec<Located>,
    /// Problems of objects about announcing.
    pub refused: Vec<Problem>,
}

/// All objects of a directory; or all that is wrong, if that is anything.
pub fn read_dir(dir: &Path) -> Result<Listing, Vec<Problem>> {
    let mut reader = Reader::new(dir);
    let changed = reader.look(&Look::Everywhere).map_err(|problem| vec![problem])?;
    Listing::of_first(Store::default().take(reader.files(), &changed))
}

impl Listing {
    /// Of the first update of a source.
    fn of_first(update: Update) -> Result<Self, Vec<Problem>> {
        let located = |change| match change {
            Change::Put(object, Some(origin)) => Some(Located { object, origin }),
            _ => None,
        };
        let objects = update.changes.into_iter().filter_map(located).collect();
        if update.faults.is_empty() {
            Ok(Self { objects, refused: update.refused })
        } else {
            Err(update.faults)
        }
    }
}

/// What a directory with this text in `test.yaml` is read as.
#[cfg(test)]
pub fn read_text(text: &str) -> Result<Listing, Vec<Problem>> {
    Listing::of_first(super::testing::TestFiles::default().load(&[("test.yaml", text)]))
}
