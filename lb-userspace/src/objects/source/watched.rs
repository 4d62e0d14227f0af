//! The source that an agent is told to read.

use std::{fmt, path::PathBuf};

use tokio::sync::mpsc;

use super::{
    file,
    kube::{self, ApiServer},
    update::Update,
};

#[derive(Clone, Debug)]
pub enum Source {
    Directory(PathBuf),
    Kubernetes(ApiServer),
}

impl Source {
    /// Hands over what it has, and then what changes, until the receiver is gone.
    /// `expects_objects`: an earlier agent has served some.
    pub async fn follow(self, expects_objects: bool, updates: mpsc::Sender<Update>) {
        match self {
            Self::Directory(dir) => file::follow_dir(dir, expects_objects, updates).await,
            Self::Kubernetes(server) => kube::follow_api(server, updates).await,
        }
    }

    /// None: there is no API server.
    pub fn api_server(&self) -> Option<&ApiServer> {
        match self {
            Self::Directory(_) => None,
            Self::Kubernetes(server) => Some(server),
        }
    }

    /// What one of them gets wrong must not keep an agent from serving the others.
    pub fn has_many_writers(&self) -> bool {
        matches!(self, Self::Kubernetes(_))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(dir) => dir.display().fmt(f),
            Self::Kubernetes(server) => write!(f, "kube, {server}"),
        }
    }
}
