//! The commands that ask a running agent.

use std::{path::Path, process::ExitCode};

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{FAILED, Outcome, print, render};
use crate::{
    cli::Cli,
    report::{BackendReport, ServiceReport, Status, VerdictReport},
};

pub fn status(cli: &Cli) -> Outcome {
    let status: Status = ask(&cli.socket, "/v1/status")?;
    print(cli.output, &status, render::status)?;
    Ok(if status.ready { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

pub fn services(cli: &Cli) -> Outcome {
    let services: Vec<ServiceReport> = ask(&cli.socket, "/v1/services")?;
    print(cli.output, services.as_slice(), render::services)?;
    Ok(ExitCode::SUCCESS)
}

pub fn backends(cli: &Cli) -> Outcome {
    let backends: Vec<BackendReport> = ask(&cli.socket, "/v1/backends")?;
    print(cli.output, backends.as_slice(), render::backends)?;
    Ok(ExitCode::SUCCESS)
}

pub fn drops(cli: &Cli, all: bool) -> Outcome {
    let mut verdicts: Vec<VerdictReport> = ask(&cli.socket, "/v1/drops")?;
    if !all {
        verdicts.retain(|verdict| verdict.fate == "drop" && verdict.packets > 0);
    }
    print(cli.output, verdicts.as_slice(), render::drops)?;
    Ok(ExitCode::SUCCESS)
}

/// GET `path` from the agent at `socket`.
fn ask<T: DeserializeOwned>(socket: &Path, path: &str) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = runtime.block_on(get(socket, path))?;
    serde_json::from_slice(&body).context("the agent answers in another form; is it of another release?")
}

async fn get(socket: &Path, path: &str) -> anyhow::Result<Bytes> {
    let stream = UnixStream::connect(socket).await.with_context(|| {
        format!("--socket {}: no agent answers; start one, or name its socket", socket.display())
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "agent").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if !response.status().is_success() {
        bail!("the agent answers {} to {path}; is it of another release?", response.status());
    }
    Ok(response.into_body().collect().await?.to_bytes())
}
