//! The source that an agent is told to read.

use std::{fmt, path::PathBuf};

use tokio::sync::watch;

use super::{file, files::LoadResult};

#[derive(Clone, Debug)]
pub enum Source {
    Directory(PathBuf),
}

impl Source {
    /// Reads all objects that it has now. Blocks.
    pub fn read(&self) -> LoadResult {
        match self {
            Self::Directory(dir) => file::Reader::new(dir).read(),
        }
    }

    /// Hands over what it has, now and after every change, until all receivers are gone.
    pub async fn follow(self, on_change: watch::Sender<LoadResult>) {
        match self {
            Self::Directory(dir) => file::follow_dir(dir, on_change).await,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(dir) => dir.display().fmt(f),
        }
    }
}
