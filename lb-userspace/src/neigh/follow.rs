//! The loop that keeps the next hops of a changing set of targets up to date.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, bail};
use tokio::{sync::watch, time::sleep_until};
use tracing::{Instrument, debug, trace_span, warn};

use super::{
    events::{Announced, Events, NeighbourEvents, ROUTING},
    link_fault::{LinkFault, LinkFaults},
    netlink::{Netlink, NetlinkError},
    next_hop::NextHops,
    nudge::Nudges,
    schedule::{Schedule, end_of_rest},
    table_room::{TableFault, read_limits},
    upper_links::with_upper_links,
    view::View,
};

const CANNOT_LISTEN: &str = "cannot follow network changes (netlink)";

/// What is found out.
pub struct Findings {
    pub hops: watch::Sender<Arc<NextHops>>,
    /// The indices of all interfaces by which packets leave through the uplinks, once they are known.
    pub uplinks: watch::Sender<BTreeSet<u32>>,
    pub faults: watch::Sender<NetworkFaults>,
}

/// What is wrong with this machine's network.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NetworkFaults {
    /// Of the uplinks.
    pub links: LinkFaults,
    pub tables: Vec<TableFault>,
}

/// Follows the kernel: emits a new map whenever anything about the targets or the uplinks
/// (names by index) changes. Ends well when the sender of `targets` is gone, else with the
/// failure of a netlink socket. Needs `CAP_NET_ADMIN`. Each reading is a span `read_routing`.
///
/// The sockets belong to the network namespace of the thread that first polls
/// the future.
pub async fn follow(
    uplinks: BTreeMap<u32, String>,
    targets: watch::Receiver<BTreeSet<IpAddr>>,
    out: Findings,
) -> anyhow::Result<()> {
    let routing_events = Events::subscribe(&ROUTING).context(CANNOT_LISTEN)?;
    let neighbour_events = NeighbourEvents::subscribe().context(CANNOT_LISTEN)?;
    let (kernel, connection) = Netlink::open().context("cannot open a netlink socket")?;
    let now = Instant::now();
    let follower = Follower {
        kernel,
        routing_events,
        neighbour_events,
        uplinks,
        view: View::default(),
        nudges: Nudges::default(),
        schedule: Schedule::new(now),
        listens_from: now,
        out,
    };
    tokio::select! {
        biased;
        () = connection => bail!("the netlink socket that asks for next hops has failed"),
        result = follower.run(targets) => result,
    }
}

struct Follower {
    kernel: Netlink,
    routing_events: Events,
    neighbour_events: NeighbourEvents,
    uplinks: BTreeMap<u32, String>,
    view: View,
    nudges: Nudges,
    schedule: Schedule,
    /// When announcements of neighbours are taken next; until then they wait in their queue.
    listens_from: Instant,
    out: Findings,
}

impl Follower {
    async fn run(mut self, mut targets: watch::Receiver<BTreeSet<IpAddr>>) -> anyhow::Result<()> {
        loop {
            if self.schedule.due() <= Instant::now() {
                let wanted = targets.borrow_and_update().clone();
                self.read_everything(&wanted).await?;
            }
            self.nudge_due_neighbours().await?;
            let wake_at = self.nudges.next_deadline().into_iter().fold(self.schedule.due(), Instant::min);
            let announced = async {
                sleep_until(self.listens_from.into()).await;
                self.neighbour_events.wait_for_changes().await
            };
            tokio::select! {
                changed = targets.changed() => match changed {
                    Ok(()) => self.schedule.note_change(Instant::now()),
                    Err(_) => return Ok(()),
                },
                // One change is enough. If more come before the next reading than the
                // socket has room for, the kernel drops them.
                event = self.routing_events.wait_for_change(), if !self.schedule.has_changed() => {
                    event.context(CANNOT_LISTEN)?;
                    self.schedule.note_change(Instant::now());
                }
                announced = announced => self.follow_neighbours(announced.context(CANNOT_LISTEN)?),
                () = sleep_until(wake_at.into()) => {}
            }
        }
    }

    /// What is announced before the reading, it sees. What is announced meanwhile is applied to
    /// it, in order: the last announcement of an entry was written after every change that the
    /// reading may have missed, and so is as new as the reading, or newer, or has a successor that
    /// is on its way. Only a gap leaves a doubt: then everything is read again.
    async fn read_everything(&mut self, wanted: &BTreeSet<IpAddr>) -> anyhow::Result<()> {
        let started = Instant::now();
        self.routing_events.discard_changes().context(CANNOT_LISTEN)?;
        let has_gap = self.take_announced()?;
        let reading = self.kernel.read_routing(wanted, self.uplinks.keys());
        let read = reading.instrument(trace_span!("read_routing")).await;
        let ended = Instant::now();
        self.schedule.note_reading(started, ended, read.is_ok());
        if has_gap {
            self.schedule.note_change(ended);
        }
        match read {
            Ok(routing) => {
                self.view.replace(routing);
                publish(&self.out.uplinks, with_upper_links(self.uplinks.keys(), self.view.links()));
                self.publish_faults();
            }
            Err(error) => warn!("cannot read the kernel's neighbours, keeping what is known: {error}"),
        }
        self.nudges.track_only(self.view.neighbours(), ended);
        self.take_announced()?;
        Ok(())
    }

    /// Applies what is announced already; true: something is missing.
    fn take_announced(&mut self) -> anyhow::Result<bool> {
        let announced = self.neighbour_events.take_changes().context(CANNOT_LISTEN)?;
        let has_gap = announced.has_gap;
        self.follow_neighbours(announced);
        Ok(has_gap)
    }

    fn follow_neighbours(&mut self, announced: Announced) {
        let now = Instant::now();
        for change in announced.changes {
            let key = change.key;
            let Some(consequence) = self.view.apply(change) else { continue };
            self.nudges.track(key, consequence.nudged, now);
            if consequence.may_reroute {
                self.schedule.note_change(now);
            }
        }
        if announced.has_gap {
            self.schedule.note_change(now);
        }
        publish(&self.out.hops, Arc::new(self.view.next_hops().clone()));
        self.listens_from = end_of_rest(now, Instant::now());
    }

    /// Before the next hops: who hears of those is to know already which uplinks are down.
    fn publish_faults(&self) {
        let links = LinkFault::among(&self.uplinks, self.view.links());
        let tables = TableFault::among(self.view.neighbours(), read_limits);
        publish(&self.out.faults, NetworkFaults { links, tables });
    }

    async fn nudge_due_neighbours(&mut self) -> anyhow::Result<()> {
        for hop in self.nudges.take_due(Instant::now()) {
            match self.kernel.nudge_neighbour(hop).await {
                // Its interface may be about to vanish: the next reading will show it.
                Err(NetlinkError::Refused(error)) => {
                    debug!(?hop, "the kernel refuses to look for the neighbour: {error}");
                }
                result => result?,
            }
        }
        Ok(())
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
