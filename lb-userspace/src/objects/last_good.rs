//! Which version of each file is in effect: the last good one. A file that is not good, by
//! itself or together with others, neither blocks nor takes back the others.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use super::{
    index::Index,
    model::{Cluster, Problem},
    source::{FileContents, Files, Listing, LoadResult, changes_between, join_files},
};

/// The files in effect, and what they say.
#[derive(Default)]
pub struct LastGood {
    index: Index,
    /// What the index has been told of.
    listing: Listing,
    /// The versions in effect.
    files: Files,
    cluster: Arc<Cluster>,
    refused: Arc<[Problem]>,
    has_been_good: bool,
    /// A directory without any file is not believed.
    expects_files: bool,
}

impl LastGood {
    /// `expects_files`: an earlier agent has seen some.
    pub fn new(index: Index, expects_files: bool) -> Self {
        Self { index, expects_files, ..Self::default() }
    }

    /// What the files in effect say.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// What is wrong, in the files in effect, with objects about announcing. These concern
    /// nobody else.
    pub fn refused(&self) -> &Arc<[Problem]> {
        &self.refused
    }

    /// Are there files in effect? The first time, all have to be good: what is pinned from
    /// before is better than a part of what there is now.
    pub fn has_been_good(&self) -> bool {
        self.has_been_good
    }

    /// Takes what is good of a load. Returns why the rest is not in effect.
    pub fn take(&mut self, load: LoadResult) -> Vec<Problem> {
        let found = match load {
            Ok(found) if found.is_empty() && self.expects_files => return vec![no_files_problem()],
            Ok(found) => found,
            Err(problems) => return problems,
        };
        let faulty = found.values().flat_map(|contents| contents.faults.iter().cloned());
        let mut problems: Vec<Problem> = faulty.collect();
        if !problems.is_empty() && !self.has_been_good {
            return problems;
        }
        let mut files = self.good_versions(found);
        loop {
            let faults = match self.try_files(&files) {
                Ok(refused) => {
                    self.refused = refused.into();
                    self.has_been_good = true;
                    self.expects_files = !files.is_empty();
                    self.files = files;
                    return problems;
                }
                Err(faults) => faults,
            };
            let blamed = self.blamed_files(&files, &faults);
            let new: Vec<_> = faults.into_iter().filter(|fault| !problems.contains(fault)).collect();
            problems.extend(new);
            if blamed.is_empty() || !self.has_been_good {
                return problems;
            }
            for path in blamed {
                let last = self.files.get(&path).cloned();
                set_version(&mut files, path, last);
            }
        }
    }

    /// Of a file that can't be read, the last good version.
    fn good_versions(&self, found: Files) -> Files {
        let good = |(path, contents): (Arc<Path>, Arc<FileContents>)| {
            let version =
                if contents.faults.is_empty() { contents } else { self.files.get(&path).cloned()? };
            Some((path, version))
        };
        found.into_iter().filter_map(good).collect()
    }

    /// Are all objects of these files good together? Returns what is wrong with those about announcing.
    fn try_files(&mut self, files: &Files) -> Result<Vec<Problem>, Vec<Problem>> {
        let listing = join_files(files.values().map(|contents| &**contents))?;
        self.index.apply_changes(changes_between(&self.listing, &listing));
        self.listing = listing;
        let (cluster, problems) = self.index.cluster();
        let faults = self.index.faults();
        if !faults.is_empty() {
            return Err(self.listing.locate_problems(faults));
        }
        self.cluster = cluster;
        let own = self.listing.problems.iter().cloned();
        Ok(own.chain(self.listing.locate_problems(problems)).collect())
    }

    /// The files that have changed and have an object that is named. If there is none, it was a
    /// change elsewhere, as a Node that is gone: all that have changed.
    fn blamed_files(&self, files: &Files, faults: &[Problem]) -> BTreeSet<Arc<Path>> {
        let has_changed = |path: &&Arc<Path>| match (files.get(*path), self.files.get(*path)) {
            (Some(now), Some(last)) => !Arc::ptr_eq(now, last),
            _ => true,
        };
        let changed: BTreeSet<_> =
            files.keys().chain(self.files.keys()).filter(has_changed).cloned().collect();
        let named: BTreeSet<&str> = faults.iter().map(|fault| &*fault.object).collect();
        let has_named = |path: &Arc<Path>| {
            let objects = files.get(path).into_iter().flat_map(|contents| &contents.listing.objects);
            objects.into_iter().any(|located| named.contains(&*located.object.object_ref().to_string()))
        };
        let blamed: BTreeSet<_> = changed.iter().filter(|path| has_named(path)).cloned().collect();
        if blamed.is_empty() { changed } else { blamed }
    }
}

fn set_version<K: Ord, V>(files: &mut BTreeMap<K, V>, path: K, version: Option<V>) {
    match version {
        Some(version) => drop(files.insert(path, version)),
        None => drop(files.remove(&path)),
    }
}

fn no_files_problem() -> Problem {
    Problem {
        object: "source".to_owned(),
        field: "files".to_owned(),
        message: "there is no file any more, and what was there stays in effect".to_owned(),
        remedy: "put the files back; or, if all is to go, one file without any object".to_owned(),
        location: None,
    }
}
