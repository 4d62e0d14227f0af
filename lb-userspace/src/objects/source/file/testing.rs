//! A directory without files, for tests of other modules.

use std::{path::Path, sync::Arc};

use super::{contents::Files, read::parse_file, store::Store};
use crate::objects::source::Update;

/// A directory whose files are texts.
#[derive(Default)]
pub struct TestFiles {
    files: Files,
    store: Store,
}

impl TestFiles {
    pub fn new(store: Store) -> Self {
        Self { store, ..Self::default() }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// From now on, these are the files.
    pub fn load(&mut self, texts: &[(&str, &str)]) -> Update {
        let parse = |(name, text): &(&str, &str)| {
            let path: Arc<Path> = Path::new(name).into();
            (Arc::clone(&path), Arc::new(parse_file(&path, text)))
        };
        let now: Files = texts.iter().map(parse).collect();
        let before = std::mem::replace(&mut self.files, now);
        let paths = before.keys().chain(self.files.keys());
        let changed = paths.filter(|path| before.get(*path) != self.files.get(*path)).cloned().collect();
        self.store.take(&self.files, &changed)
    }
}
