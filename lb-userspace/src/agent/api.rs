//! The agent's API: HTTP over a Unix socket. `curl` speaks it too:
//! `curl --unix-socket /run/trigon/agent.sock http://agent/v1/status`.

use std::{
    mem,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use anyhow::{Context, bail};
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use tokio::{
    net::{UnixListener, UnixStream},
    time::{sleep, timeout},
};
use tracing::info;

use super::{
    explain,
    report::{
        DrainState,
        explain::{ExplainQuestion, Explanation},
    },
    snapshot::Reader,
};

/// For how long to wait for an agent that leaves: a Pod may start while the one before it drains.
const LEAVE: Duration = Duration::from_secs(10);

async fn wait_until_silent(path: &Path) {
    let mut is_told = false;
    while UnixStream::connect(path).await.is_ok() {
        if !mem::replace(&mut is_told, true) {
            info!("--socket {}: another agent answers there; waiting for its end", path.display());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The socket, bound before anything else is touched: one agent for each.
pub struct Listener(UnixListener);

impl Listener {
    /// Fails if another agent answers there, and goes on doing so.
    pub async fn bind(path: &Path) -> anyhow::Result<Self> {
        if timeout(LEAVE, wait_until_silent(path)).await.is_err() {
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

    pub async fn serve(self, reader: Reader) -> anyhow::Result<()> {
        let app = Router::new()
            .route("/v1/status", get(async |State(reader): State<Reader>| Json(reader.status())))
            .route("/v1/services", get(async |State(reader): State<Reader>| Json(reader.services())))
            .route("/v1/backends", get(async |State(reader): State<Reader>| Json(reader.backends())))
            .route("/v1/drops", get(async |State(reader): State<Reader>| Json(reader.verdicts())))
            .route("/v1/explain", get(explain_flow))
            .route(
                "/v1/bgp",
                get(async |State(reader): State<Reader>| Json(reader.snapshot().announcement_status.peers())),
            )
            .route(
                "/v1/l2",
                get(async |State(reader): State<Reader>| {
                    Json(reader.snapshot().announcement_status.l2_vips())
                }),
            )
            .route("/v1/drain", get(show_drain).post(begin_drain).delete(undo_drain))
            .with_state(reader);
        axum::serve(self.0, app).await.context("the API ended")
    }
}

type Answer<T> = Result<Json<T>, (StatusCode, String)>;

async fn show_drain(State(reader): State<Reader>) -> Json<DrainState> {
    Json(reader.drain_state())
}

async fn begin_drain(State(reader): State<Reader>) -> Answer<DrainState> {
    reader.set_drain(true).await.map_err(internal_error)?;
    Ok(Json(reader.drain_state()))
}

async fn undo_drain(State(reader): State<Reader>) -> Answer<DrainState> {
    reader.set_drain(false).await.map_err(internal_error)?;
    Ok(Json(reader.drain_state()))
}

/// A bad question is answered with what is wrong with it.
async fn explain_flow(
    State(reader): State<Reader>,
    Query(question): Query<ExplainQuestion>,
) -> Answer<Explanation> {
    let explanation = tokio::task::spawn_blocking(move || explain::explain(&reader, &question)).await;
    explanation.map_err(internal_error)?.map(Json).map_err(|error| {
        let bad = error.is_in_question();
        let status = if bad { StatusCode::BAD_REQUEST } else { StatusCode::INTERNAL_SERVER_ERROR };
        (status, error.to_string())
    })
}

fn internal_error(error: impl ToString) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
