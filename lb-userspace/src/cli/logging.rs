//! What the commands that run for long have in common: their log, and their runtime.

use std::io::IsTerminal;

use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

/// What the client of the API server warns of is a problem of ours, or may have a Secret in it.
const LOGGED: &str = "info,kube_client=error,kube_runtime=error";

/// Writes the log to stderr; $RUST_LOG says what of it.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

/// Two workers beside the main thread. Fails if the threads cannot be started.
pub fn runtime() -> anyhow::Result<Runtime> {
    Ok(Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}
