//! `RANGES`: a trie, and not a hash map as the others are.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use aya::maps::{LpmTrie, Map, MapData, lpm_trie::Key};
use lb_common::maps::{RangeKey, names};

use super::{
    error::LoadError,
    hash_map::{is_not_found, table_error},
    pinned::{map_pin, open_map},
};
use crate::{datapath::TableError, plan::SourceRange};

const NAME: &str = names::RANGES;

/// The values are the lengths of their keys' prefixes, for [`Ranges::contains`] alone.
pub struct Ranges(LpmTrie<MapData, RangeKey, u32>);

impl Ranges {
    pub fn open(pin_dir: &Path) -> Result<Self, LoadError> {
        let map = LpmTrie::try_from(Map::LpmTrie(open_map(pin_dir, NAME)?))
            .map_err(|source| LoadError::Pinned { path: map_pin(pin_dir, NAME), source })?;
        Ok(Self(map))
    }

    pub fn set(&mut self, service: u32, range: &SourceRange) -> Result<(), TableError> {
        let key = trie_key(service, range);
        let done = self.0.insert(&key, key.prefix_len(), 0);
        done.map_err(|e| table_error(NAME, format!("service {service}: {range}"), e))
    }

    /// It is no error if there is nothing to delete.
    pub fn delete(&mut self, service: u32, range: &SourceRange) -> Result<(), TableError> {
        match self.0.remove(&trie_key(service, range)) {
            Err(e) if !is_not_found(&e) => Err(table_error(NAME, format!("service {service}: {range}"), e)),
            _ => Ok(()),
        }
    }

    /// Is this very range there? A look-up finds shorter prefixes as well.
    pub fn contains(&self, service: u32, range: &SourceRange) -> Result<bool, TableError> {
        let key = trie_key(service, range);
        match self.0.get(&key, 0) {
            Ok(len) => Ok(len == key.prefix_len()),
            Err(e) if is_not_found(&e) => Ok(false),
            Err(e) => Err(table_error(NAME, format!("service {service}: {range}"), e)),
        }
    }

    /// By the id of the service.
    pub fn read_all(&self) -> Result<BTreeMap<u32, BTreeSet<SourceRange>>, TableError> {
        let mut all: BTreeMap<u32, BTreeSet<SourceRange>> = BTreeMap::new();
        for key in self.0.keys() {
            let key = key.map_err(|e| table_error(NAME, "all entries".into(), e))?;
            let (service, range) = SourceRange::from_key(key.prefix_len(), key.data());
            all.entry(service).or_default().insert(range);
        }
        Ok(all)
    }
}

fn trie_key(service: u32, range: &SourceRange) -> Key<RangeKey> {
    let (len, key) = range.key(service);
    Key::new(len, key)
}
