//! Which version of each file is in effect, and which objects there are.
//!
//! A file that can't be read as a whole keeps its last good version. Of an object that is in
//! several files, the file that had it first is in effect.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    mem,
    path::Path,
    sync::Arc,
};

use super::contents::{FileContents, Files, duplicate_problem};
use crate::objects::{
    model::Problem,
    source::{
        kind::Kind,
        located::Located,
        object::{Object, ObjectRef},
        update::{Change, Update},
    },
};

type Paths = BTreeSet<Arc<Path>>;

#[derive(Default)]
pub struct Store {
    /// The versions in effect.
    files: Files,
    /// All objects, from the file that has them in effect.
    objects: HashMap<ObjectRef, Located>,
    /// Objects in the files that are not the first to have them.
    duplicates: BTreeSet<(ObjectRef, Arc<Path>)>,
    /// Files whose present version is not good.
    faulty: Paths,
    /// Files that are gone, but stay in effect: in the same moment came others that can't be read,
    /// and may be these under a new name.
    kept: Paths,
    /// Files with problems about announcing.
    complaining: Paths,
    /// Changes that were not taken.
    pending: Paths,
    /// A directory without any file is not believed.
    expects_files: bool,
    /// Was a directory read that was believed? Its files have the objects of all kinds.
    is_synced: bool,
}

impl Store {
    /// `expects_files`: an earlier agent has served something.
    pub fn new(expects_files: bool) -> Self {
        Self { expects_files, ..Self::default() }
    }

    /// Takes what is good of the files that there are, of which `changed` are new, different or gone.
    pub fn take(&mut self, files: &Files, changed: &Paths) -> Update {
        let mut changed = changed.clone();
        changed.append(&mut self.pending);
        if files.is_empty() && self.expects_files {
            self.pending = changed;
            let faults = vec![no_files_problem()];
            return Update { faults, refused: self.refused(), ..Update::default() };
        }
        let had_new_faulty = self.new_faulty();
        let is_good = |path: &Path| files.get(path).is_none_or(|contents| contents.faults.is_empty());
        for path in &changed {
            match is_good(path) {
                true => drop(self.faulty.remove(path)),
                false => drop(self.faulty.insert(Arc::clone(path))),
            }
        }
        let is_gone = |path: &&Arc<Path>| !files.contains_key(*path);
        let new_faulty = self.new_faulty();
        if !new_faulty.is_subset(&had_new_faulty) {
            let gone = changed.iter().filter(is_gone).filter(|path| self.files.contains_key(*path));
            self.kept.extend(gone.cloned());
        }
        if new_faulty.is_empty() {
            changed.extend(mem::take(&mut self.kept));
        }
        self.kept.retain(|path| !files.contains_key(path));
        changed.retain(|path| is_good(path) && !self.kept.contains(path));
        let mut changes = self.set_versions(files, &changed);
        if !mem::replace(&mut self.is_synced, true) {
            changes.extend(Kind::ALL.map(Change::Synced));
        }
        self.expects_files |= !self.files.is_empty();
        Update { changes, faults: self.faults(files), refused: self.refused(), ..Update::default() }
    }

    /// Files of which no version was good.
    fn new_faulty(&self) -> Paths {
        self.faulty.iter().filter(|path| !self.files.contains_key(*path)).cloned().collect()
    }

    /// Puts these files into effect as they are now.
    fn set_versions(&mut self, files: &Files, changed: &Paths) -> Vec<Change> {
        let mut touched = BTreeSet::new();
        for path in changed {
            let (before, now) = (self.files.remove(path), files.get(path).cloned());
            let objects = |version: &Option<Arc<FileContents>>| {
                version.iter().flat_map(|contents| contents.objects.keys().cloned()).collect::<BTreeSet<_>>()
            };
            let (had, has) = (objects(&before), objects(&now));
            for this in &had {
                self.duplicates.remove(&(this.clone(), Arc::clone(path)));
            }
            let not_first = has.iter().filter(|this| !is_from(self.objects.get(*this), path));
            self.duplicates.extend(not_first.map(|this| (this.clone(), Arc::clone(path))));
            touched.extend(had.into_iter().chain(has));
            self.complaining.remove(path);
            if let Some(now) = now {
                if !now.refused.is_empty() {
                    self.complaining.insert(Arc::clone(path));
                }
                self.files.insert(Arc::clone(path), now);
            }
        }
        touched.into_iter().filter_map(|this| self.place(this)).collect()
    }

    /// Decides from which file an object is.
    fn place(&mut self, this: ObjectRef) -> Option<Change> {
        let before = self.objects.remove(&this);
        let in_file = |path: &Arc<Path>| self.files.get(path)?.objects.get(&this).cloned();
        let place = before.as_ref().and_then(|located| in_file(&located.origin.file)).or_else(|| {
            let first = self.other_places(&this).next().cloned()?;
            self.duplicates.remove(&(this.clone(), Arc::clone(&first)));
            self.files.get(&first)?.objects.get(&this).cloned()
        });
        let Some(located) = place else { return before.map(|_| Change::Gone(this)) };
        self.objects.insert(this.clone(), located.clone());
        let is_unclear = this.kind.is_announcing() && self.other_places(&this).next().is_some();
        let object = if is_unclear { Object::Unreadable(this) } else { located.object };
        Some(Change::Put(object, Some(located.origin)))
    }

    fn other_places(&self, this: &ObjectRef) -> impl Iterator<Item = &Arc<Path>> {
        let none: Arc<Path> = Path::new("").into();
        let from = self.duplicates.range((this.clone(), none)..);
        let this = this.clone();
        from.take_while(move |(other, _)| *other == this).map(|(_, path)| path)
    }

    fn faults(&self, files: &Files) -> Vec<Problem> {
        let of_files = self.faulty.iter().filter_map(|path| files.get(path));
        let of_files = of_files.flat_map(|contents| contents.faults.iter().cloned());
        let kept = self.kept.iter().map(|path| kept_problem(path));
        of_files.chain(kept).chain(self.duplicate_problems(false)).collect()
    }

    fn refused(&self) -> Vec<Problem> {
        let of_files = self.complaining.iter().filter_map(|path| self.files.get(path));
        let of_files = of_files.flat_map(|contents| contents.refused.iter().cloned());
        of_files.chain(self.duplicate_problems(true)).collect()
    }

    fn duplicate_problems(&self, announcing: bool) -> impl Iterator<Item = Problem> {
        let wanted = self.duplicates.iter().filter(move |(this, _)| this.kind.is_announcing() == announcing);
        wanted.filter_map(|(this, path)| {
            let second = self.files.get(path)?.objects.get(this)?;
            Some(duplicate_problem(this, &self.objects.get(this)?.origin, &second.origin))
        })
    }
}

fn is_from(located: Option<&Located>, path: &Path) -> bool {
    located.is_some_and(|located| *located.origin.file == *path)
}

fn no_files_problem() -> Problem {
    Problem {
        object: "source".to_owned(),
        field: "files".to_owned(),
        message: "there is no file any more, and what was there stays in effect".to_owned(),
        remedy: "put the files back; or, if all is to go, one file without any object".to_owned(),
        ..Problem::default()
    }
}

fn kept_problem(path: &Path) -> Problem {
    Problem {
        object: format!("file {}", path.file_name().unwrap_or(path.as_os_str()).display()),
        field: "contents".to_owned(),
        message: "is gone, and stays in effect: a new file that can't be read may be this one".to_owned(),
        remedy: "correct the new file".to_owned(),
        location: Some(path.display().to_string().into()),
        ..Problem::default()
    }
}
