//! The commands that ask a running agent.
#[cfg(test)]
mod tests;

use std::{path::Path, process::ExitCode};

use anyhow::{Context, anyhow};
use http_body_util::{BodyExt, Empty};
use hyper::{Method, Request, StatusCode, body::Bytes};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{
    outcome::{FAILED, Failure, Outcome, UNUSABLE, print_result},
    render,
};
use crate::{
    agent::report::{AgentStatus, BackendReport, ServiceReport, VerdictReport},
    cli::args::Cli,
    protocols::{
        bgp::{PeerStatus, State},
        l2::VipStatus,
    },
};

/// `live`: an agent that answers is well enough.
pub fn status(cli: &Cli, live: bool) -> Outcome {
    let status: AgentStatus = ask_agent(&cli.socket, "/v1/status")?;
    print_result(cli.output, &status, render::status)?;
    Ok(if status.ready || live { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

pub fn services(cli: &Cli) -> Outcome {
    let services: Vec<ServiceReport> = ask_agent(&cli.socket, "/v1/services")?;
    print_result(cli.output, services.as_slice(), render::services)?;
    Ok(ExitCode::SUCCESS)
}

pub fn backends(cli: &Cli) -> Outcome {
    let backends: Vec<BackendReport> = ask_agent(&cli.socket, "/v1/backends")?;
    print_result(cli.output, backends.as_slice(), render::backends)?;
    Ok(ExitCode::SUCCESS)
}

pub fn drops(cli: &Cli, all: bool) -> Outcome {
    let mut verdicts: Vec<VerdictReport> = ask_agent(&cli.socket, "/v1/drops")?;
    if !all {
        verdicts.retain(|verdict| verdict.fate == "drop" && verdict.packets > 0);
    }
    print_result(cli.output, verdicts.as_slice(), render::drops)?;
    Ok(ExitCode::SUCCESS)
}

pub fn bgp(cli: &Cli) -> Outcome {
    let peers: Vec<PeerStatus> = ask_agent(&cli.socket, "/v1/bgp")?;
    print_result(cli.output, peers.as_slice(), render::bgp)?;
    let all_up = peers.iter().all(|peer| peer.state == State::Established);
    Ok(if all_up { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

pub fn l2(cli: &Cli) -> Outcome {
    let vips: Vec<VipStatus> = ask_agent(&cli.socket, "/v1/l2")?;
    print_result(cli.output, vips.as_slice(), render::l2)?;
    Ok(ExitCode::SUCCESS)
}

/// GET `path` from the agent at `socket`.
pub fn ask_agent<T: DeserializeOwned>(socket: &Path, path: &str) -> Result<T, Failure> {
    call_agent(socket, Method::GET, path)
}

/// Sends a request to the agent at `socket`, and parses its answer.
pub fn call_agent<T: DeserializeOwned>(socket: &Path, method: Method, path: &str) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let body = runtime.map_err(anyhow::Error::from)?.block_on(fetch_answer(socket, method, path))?;
    let value = serde_json::from_slice(&body);
    Ok(value.context("the agent answers in another form; is it of another release?")?)
}

async fn fetch_answer(socket: &Path, method: Method, path: &str) -> Result<Bytes, Failure> {
    let stream = UnixStream::connect(socket).await.with_context(|| {
        format!("--socket {}: no agent answers; start one, or name its socket", socket.display())
    })?;
    let (status, body) = exchange_http(stream, method, path).await?;
    match status {
        _ if status.is_success() => Ok(body),
        // The body says what is wrong with the request.
        StatusCode::BAD_REQUEST => {
            Err(Failure { code: UNUSABLE, error: anyhow!("{}", String::from_utf8_lossy(&body)) })
        }
        StatusCode::INTERNAL_SERVER_ERROR => Err(anyhow!("{}", String::from_utf8_lossy(&body)).into()),
        _ => Err(anyhow!("the agent answers {status} to {path}; is it of another release?").into()),
    }
}

async fn exchange_http(
    stream: UnixStream,
    method: Method,
    path: &str,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request =
        Request::builder().method(method).uri(path).header("host", "agent").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    Ok((response.status(), response.into_body().collect().await?.to_bytes()))
}
