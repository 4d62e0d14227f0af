//! The agent's API: HTTP over a Unix socket. `curl` speaks it too:
//! `curl --unix-socket /run/trigon/agent.sock http://agent/v1/status`.

use std::{
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    sync::{Arc, Mutex},
    time::Instant,
};

use anyhow::{Context, bail};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use tokio::net::{UnixListener, UnixStream};

use super::{View, explain, with};
use crate::report::{
    Drain,
    explain::{Explanation, Question},
};

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
            .route("/v1/explain", get(explained))
            .route("/v1/bgp", get(|State(view): State<Shared>| answer(view, View::peers)))
            .route("/v1/l2", get(|State(view): State<Shared>| answer(view, View::l2)))
            .route("/v1/drain", get(drain).post(begin_drain).delete(undo_drain))
            .with_state(view);
        axum::serve(self.0, app).await.context("the API ended")
    }
}

async fn drain(State(view): State<Shared>) -> Json<Drain> {
    Json(with(&view, |view| Drain::of(view.left(Instant::now()))))
}

async fn begin_drain(State(view): State<Shared>) -> Json<Drain> {
    with(&view, |view| view.leave(true));
    drain(State(view)).await
}

async fn undo_drain(State(view): State<Shared>) -> Json<Drain> {
    with(&view, |view| view.leave(false));
    drain(State(view)).await
}

async fn answer<T>(view: Shared, ask: fn(&View) -> T) -> Json<T> {
    Json(with(&view, |view| ask(view)))
}

/// A bad question is answered with what is wrong with it.
async fn explained(
    State(view): State<Shared>,
    Query(question): Query<Question>,
) -> Result<Json<Explanation>, (StatusCode, String)> {
    let told = tokio::task::spawn_blocking(move || explain::explain(&view, &question)).await;
    let told = told.map_err(|e| (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
    told.map(Json).map_err(|error| {
        let bad = error.is_in_question();
        let status = if bad { StatusCode::BAD_REQUEST } else { StatusCode::INTERNAL_SERVER_ERROR };
        (status, error.to_string())
    })
}
