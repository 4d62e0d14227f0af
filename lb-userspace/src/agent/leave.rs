//! On SIGTERM and SIGINT: VIPs are withdrawn before the agent ends, and the data path stays.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tracing::info;

use super::{snapshot::Reader, speakers::Speakers};
use crate::{os::signals::StopSignals, protocols::bgp::config::Leaving};

/// How often the progress of the drain is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long to wait for sessions to close, once they are told to.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits for a signal, then drains; returns when the drain is complete, or at a second
/// signal. Undoing the drain (`trigon drain --undo`) cancels the stop: it waits for a signal anew.
pub async fn drain_on_signal(
    reader: &Reader,
    speakers: &Speakers,
    signals: &mut StopSignals,
) -> anyhow::Result<()> {
    loop {
        signals.next().await;
        if speakers.is_idle() {
            break;
        }
        info!("VIPs are withdrawn first; a second signal ends at once");
        reader.set_drain(true).await?;
        tokio::select! {
            () = wait_for_close(reader) => break,
            () = signals.next() => break,
            () = wait_for_step(Leaving::No, || reader.snapshot().announcement_status.leaving_step(Instant::now())) => {
                info!("the drain was undone: the agent goes on");
            }
        }
    }
    info!("stopping; the data path goes on as it is (`trigon unload` removes it)");
    Ok(())
}

async fn wait_for_close(reader: &Reader) {
    wait_for_step(Leaving::Closed, || reader.snapshot().announcement_status.leaving_step(Instant::now()))
        .await;
    // A router that does not read its connection must not delay the stop for longer.
    let _ = timeout(
        CLOSE_TIMEOUT,
        wait_for_step(Leaving::Closed, || {
            reader.snapshot().announcement_status.completed_step(Instant::now())
        }),
    )
    .await;
}

async fn wait_for_step(end: Leaving, current_step: impl Fn() -> Leaving) {
    while current_step() != end {
        sleep(POLL_INTERVAL).await;
    }
}
