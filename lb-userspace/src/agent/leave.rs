//! On SIGTERM and SIGINT: VIPs are withdrawn before the agent ends, and the data path stays.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{sleep, timeout},
};
use tracing::info;

use super::{snapshot::Reader, speakers::Speakers};
use crate::protocols::bgp::config::Leaving;

/// How often the progress of the drain is checked.
const LOOK: Duration = Duration::from_millis(20);
/// How long to wait for sessions to close, once they are told to.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Waits for a signal, then drains; returns when the drain is complete, or at a second
/// signal. Undoing the drain (`trigon drain --undo`) cancels the stop: it waits for a signal anew.
pub async fn on_signal(reader: &Reader, speakers: &Speakers) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    loop {
        either(&mut terminate, &mut interrupt).await;
        if speakers.is_idle() {
            break;
        }
        info!("VIPs are withdrawn first; a second signal ends at once");
        reader.leave(true).await?;
        tokio::select! {
            () = closed(reader) => break,
            () = either(&mut terminate, &mut interrupt) => break,
            () = until(Leaving::No, || reader.snapshot().outlook.leaving(Instant::now())) => {
                info!("the drain was undone: the agent goes on");
            }
        }
    }
    info!("stopping; the data path goes on as it is (`trigon unload` removes it)");
    Ok(())
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn closed(reader: &Reader) {
    until(Leaving::Closed, || reader.snapshot().outlook.leaving(Instant::now())).await;
    // A router that does not read its connection must not delay the stop for longer.
    let _ =
        timeout(LAST_WORDS, until(Leaving::Closed, || reader.snapshot().outlook.left(Instant::now()))).await;
}

async fn until(end: Leaving, step: impl Fn() -> Leaving) {
    while step() != end {
        sleep(LOOK).await;
    }
}
