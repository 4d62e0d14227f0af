//! The agent's API: HTTP over a Unix socket, read-only. `curl` speaks it too:
//! `curl --unix-socket /run/trigon/agent.sock http://agent/v1/status`.

use std::{
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    sync::{Arc, Mutex},
};

use anyhow::{Context, bail};
use axum::{Json, Router, extract::State, routing::get};
use tokio::net::{UnixListener, UnixStream};

use super::{View, with};

type Shared = Arc<Mutex<View>>;

/// The socket, bound before anything else is touched: one agent for each.
pub struct Listener(UnixListener);

impl Listener {
    /// Fails if another agent answers there.
    pub async fn bind(path: &Path) -> anyhow::Result<Self> {
        if UnixStream::connect(path).await.is_ok() {
            bail!("--socket {}: another agent answers there; stop it, or use another socket", path.display());
        }
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("--socket: cannot make {}", dir.display()))?;
        }
        if let Ok(found) = std::fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                bail!("--socket {}: something else is there; use another path", path.display());
            }
            // Of an agent that was killed: nobody answers.
            std::fs::remove_file(path).with_context(|| format!("--socket {}", path.display()))?;
        }
        let listener = UnixListener::bind(path).with_context(|| format!("--socket {}", path.display()))?;
        let owner_only = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, owner_only).with_context(|| format!("--socket {}", path.display()))?;
        Ok(Self(listener))
    }

    pub async fn serve(self, view: Shared) -> anyhow::Result<()> {
        let app = Router::new()
            .route("/v1/status", get(|State(view): State<Shared>| answer(view, View::status)))
            .route("/v1/services", get(|State(view): State<Shared>| answer(view, View::services)))
            .route("/v1/backends", get(|State(view): State<Shared>| answer(view, View::backends)))
            .route("/v1/drops", get(|State(view): State<Shared>| answer(view, View::verdicts)))
            .with_state(view);
        axum::serve(self.0, app).await.context("the API ended")
    }
}

async fn answer<T>(view: Shared, ask: fn(&View) -> T) -> Json<T> {
    Json(with(&view, |view| ask(view)))
}
