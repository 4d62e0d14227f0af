//! A panic ends a peer's session, but not its task: that tells of it, and begins anew.

use std::{
    mem,
    time::{Duration, Instant},
};

use tracing::error;

use super::task::{PeerTask, StatusReport};
use crate::{
    os::panics::catch_panic,
    protocols::bgp::{PeerStatus, State, fsm::Restart, status::LastError},
};

/// From a panic to the next session: a peer whose messages make us panic must not do so in a loop.
const PAUSE: Duration = Duration::from_secs(5);

impl PeerTask {
    /// Speaks with the peer until it is removed, or the supervisor is gone.
    pub async fn run(mut self) {
        let mut restart = Restart { restarted: self.restarted, forwarding: self.restarted };
        let mut last_error = None;
        while let Err(panic) = catch_panic(self.speak(restart, last_error.take())).await {
            let error = LastError::of_panic(panic);
            error!(reason = error.detail, remedy = error.remedy, "the task of this peer has panicked");
            self.report_failure(error.clone());
            last_error = Some((Instant::now(), error));
            // The session ended without NOTIFICATION, so that the peer may have kept our routes; and
            // the programs went on.
            restart = Restart { restarted: true, forwarding: true };
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reports that there is no session any more.
    fn report_failure(&mut self, error: LastError) {
        let status = PeerStatus {
            name: self.name.to_string(),
            state: State::Idle,
            seconds: 0,
            hold_time_seconds: None,
            families: Vec::new(),
            capabilities: Vec::new(),
            routes_sent: 0,
            last_error: Some(error),
            ..mem::take(&mut self.reported)
        };
        let _ = self.reports.send(StatusReport { name: self.name.clone(), status });
    }
}
