//! Which interfaces packets leave by through `trigon_egress`, for the programs: written apart from all
//! else, since no entry of another map names one.

use std::{collections::BTreeSet, path::Path};

use lb_common::maps::{names, uplinks::COMPLETE};

use super::{error::LoadError, hash_map::PinnedHashMap};
use crate::datapath::TableError;

pub struct Uplinks(PinnedHashMap<u32, u32>);

impl Uplinks {
    pub fn open(pin_dir: &Path) -> Result<Self, LoadError> {
        Ok(Self(PinnedHashMap::open(pin_dir, names::UPLINKS)?))
    }

    /// From now on, exactly these: their indices. What fails can be done again.
    pub fn replace(&mut self, indices: &BTreeSet<u32>) -> Result<(), TableError> {
        let held: BTreeSet<u32> = self.0.read_all::<Vec<_>>()?.into_iter().map(|(index, _)| index).collect();
        // First, for their room.
        for index in held.iter().filter(|index| **index != COMPLETE && !indices.contains(*index)) {
            self.0.delete(index)?;
        }
        // The mark last: with it, an interface that is not here is none.
        let wanted = indices.iter().filter(|index| **index != COMPLETE).chain([&COMPLETE]);
        let mut new = wanted.filter(|index| !held.contains(*index));
        new.try_for_each(|index| self.0.set(index, index))
    }
}
