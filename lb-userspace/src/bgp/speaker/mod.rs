//! BGP over TCP: a task for each peer, and listeners that all of them share.
//!
//! ```text
//! Wanted ──> supervisor ──> task ── peering (what to do) ── link (a connection)
//!               │             └── discovery (who is on that interface?)
//!               └── listeners (who calls?)
//! ```

mod addresses;
mod discovery;
mod link;
mod listeners;
mod socket;
mod supervisor;
mod task;

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

use super::{PeerStatus, Wanted};
use crate::bfd;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// TCP port to be called on; none: nobody can call.
    pub listen: Option<u16>,
    /// We have taken over what an earlier process forwarded, and it is forwarded
    /// still: peers are told so (RFC 4724).
    pub restarted: bool,
}

/// States of the BFD sessions that there are.
pub type BfdStates = Arc<BTreeMap<bfd::Key, bfd::Status>>;

/// Speaks until nothing is `wanted` any more (the sender is gone), or until it is dropped.
/// Then connections are closed without NOTIFICATION, and routers that know
/// graceful restart keep the routes for a while.
///
/// Sockets are of the network namespace of the thread that polls. Needs CAP_NET_ADMIN for MD5,
/// and CAP_NET_RAW for unnumbered peers and devices.
pub async fn run(
    options: Options,
    wanted: watch::Receiver<Arc<Wanted>>,
    bfd: watch::Receiver<BfdStates>,
    statuses: watch::Sender<Arc<Vec<PeerStatus>>>,
) -> anyhow::Result<()> {
    supervisor::Supervisor::new(options, bfd, statuses).run(wanted).await
}

#[cfg(test)]
mod tests;
