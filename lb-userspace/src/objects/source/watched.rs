//! The source that an agent is told to read.

use std::{fmt, path::PathBuf};

use tokio::sync::mpsc;

use super::{file, update::Update};

#[derive(Clone, Debug)]
pub enum Source {
    Directory(PathBuf),
}

impl Source {
    /// Hands over what it has, and then what changes, until the receiver is gone.
    /// `expects_objects`: an earlier agent has served some.
    pub async fn follow(self, expects_objects: bool, updates: mpsc::Sender<Update>) {
        match self {
            Self::Directory(dir) => file::follow_dir(dir, expects_objects, updates).await,
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
