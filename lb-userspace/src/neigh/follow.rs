//! The loop that keeps the next hops of a changing set of targets up to date.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::{sync::watch, time::sleep_until};
use tracing::{debug, warn};

use super::{
    events::{Events, ROUTING},
    link_fault::{LinkFault, LinkFaults},
    netlink::{Netlink, NetlinkError},
    next_hop::NextHops,
    nudge::Nudges,
};

/// Time from a change until the kernel is asked. Changes come in bursts: a link that
/// goes down takes its routes and neighbours along.
const SETTLE: Duration = Duration::from_millis(5);
/// After a reading, pause this many times as long as the reading took: so a storm of
/// changes costs a fifth of a CPU at most, however many targets there are.
const REST: u32 = 4;
/// The kernel is asked again even if it announced no change: its path MTUs expire
/// without a message.
const RESYNC: Duration = Duration::from_secs(30);
/// Time until the next attempt after the kernel failed to answer.
const RETRY: Duration = Duration::from_secs(1);

const CANNOT_LISTEN: &str = "cannot follow network changes (netlink)";

/// What is found out.
pub struct Findings {
    pub hops: watch::Sender<Arc<NextHops>>,
    /// Of the uplinks.
    pub faults: watch::Sender<LinkFaults>,
}

/// Follows the kernel: emits a new map whenever anything about the targets or the uplinks
/// (names by index) changes. Ends well when the sender of `targets` is gone, else with the
/// failure of a netlink socket.
///
/// The sockets belong to the network namespace of the thread that first polls
/// the future.
pub async fn follow(
    uplinks: BTreeMap<u32, String>,
    targets: watch::Receiver<BTreeSet<IpAddr>>,
    out: Findings,
) -> anyhow::Result<()> {
    let events = Events::subscribe(&ROUTING).context(CANNOT_LISTEN)?;
    let (kernel, connection) = Netlink::open().context("cannot open a netlink socket")?;
    tokio::select! {
        biased;
        () = connection => bail!("the netlink socket that asks for next hops has failed"),
        result = keep_current(&kernel, &events, &uplinks, targets, &out) => result,
    }
}

async fn keep_current(
    kernel: &Netlink,
    events: &Events,
    uplinks: &BTreeMap<u32, String>,
    mut targets: watch::Receiver<BTreeSet<IpAddr>>,
    out: &Findings,
) -> anyhow::Result<()> {
    let mut nudges = Nudges::default();
    let mut look_at = Instant::now();
    let mut rest_until = look_at;
    let mut has_changed = false;
    loop {
        let started = Instant::now();
        if look_at <= started {
            has_changed = false;
            events.discard_changes().context(CANNOT_LISTEN)?;
            let wanted = targets.borrow_and_update().clone();
            let seen = kernel.read_routing(&wanted, uplinks.keys()).await;
            let ended = Instant::now();
            rest_until = ended + REST * (ended - started);
            look_at = ended + if seen.is_ok() { RESYNC } else { RETRY };
            match seen {
                Ok(view) => {
                    let next_hops = view.next_hops();
                    nudges.track_neighbours(&view.untended_neighbours(&next_hops), Instant::now());
                    publish(&out.faults, LinkFault::among(uplinks, &view.links));
                    publish(&out.hops, Arc::new(next_hops));
                }
                Err(error) => warn!("cannot read the kernel's neighbours, keeping what is known: {error}"),
            }
        }
        for hop in nudges.take_due(Instant::now()) {
            match kernel.nudge_neighbour(hop).await {
                // Its interface may be about to vanish: the next reading will show it.
                Err(NetlinkError::Refused(error)) => {
                    debug!(?hop, "the kernel refuses to look for the neighbour: {error}")
                }
                result => result?,
            }
        }
        let wake_at = nudges.next_deadline().map_or(look_at, |nudge| nudge.min(look_at));
        tokio::select! {
            changed = targets.changed() => if changed.is_err() { return Ok(()) },
            // One change is enough. If more come before the next reading than the
            // socket has room for, the kernel drops them.
            event = events.wait_for_change(), if !has_changed => event.context(CANNOT_LISTEN)?,
            () = sleep_until(wake_at.into()) => continue,
        }
        has_changed = true;
        look_at = look_at.min(rest_until.max(Instant::now() + SETTLE));
    }
}

/// If it has changed.
fn publish<T: PartialEq>(to: &watch::Sender<T>, value: T) {
    to.send_if_modified(|current| {
        let changed = *current != value;
        if changed {
            *current = value;
        }
        changed
    });
}
