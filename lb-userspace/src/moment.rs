//! Waiting for a moment, if there is one.

use std::{future::pending, time::Instant};

/// Forever, if there is none.
pub async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => pending().await,
    }
}
