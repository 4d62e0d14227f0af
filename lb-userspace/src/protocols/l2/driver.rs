//! Election, liveness and answers on sockets and timers.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use tokio::{sync::watch, time::sleep};
use tracing::{debug, info, warn};

use super::{
    L2Config, VipStatus, Wanted,
    announce::Schedule,
    circle::Circle,
    elect::Election,
    interfaces::Interfaces,
    links::{Links, Seen},
    peers::Peers,
    port::{Asked, Port, readable},
    rivals::Rivals,
    talk::Talk,
    wire::{self, Question},
};
use crate::os::{moment::at, priority::prefer_this_thread};

/// From a change of an interface to the look at it: changes come in bursts.
const SETTLE: Duration = Duration::from_millis(5);
/// From one attempt to do what could not be done to the next.
const RETRY: Duration = Duration::from_secs(1);
/// Statuses are for people.
const PUBLISH: Duration = Duration::from_millis(100);
/// Between the last words.
const GOODBYE: Duration = Duration::from_millis(20);

const DEAF: &str = "cannot hear of interfaces that change (netlink)";

/// Announces the VIPs that this node is elected for, and tells who is elected
/// for each. When the sender of `wanted` is gone, says to the others that it
/// leaves, and ends.
///
/// Is for a thread of its own, with a runtime of its own: others hold it for
/// dead when it is kept from being polled. The sockets belong to the network
/// namespace of that thread. Needs CAP_NET_RAW.
pub async fn run(
    options: L2Config,
    wanted: watch::Receiver<Arc<Wanted>>,
    statuses: watch::Sender<Arc<Vec<VipStatus>>>,
) -> anyhow::Result<()> {
    prefer_this_thread("announcing on links");
    let (links, connection) = Links::open().context(DEAF)?;
    tokio::select! {
        biased;
        () = connection => bail!("the netlink socket that asks for interfaces has failed"),
        result = announce(&options, &links, wanted, &statuses) => result,
    }
}

async fn announce(
    options: &L2Config,
    links: &Links,
    mut wanted: watch::Receiver<Arc<Wanted>>,
    statuses: &watch::Sender<Arc<Vec<VipStatus>>>,
) -> anyhow::Result<()> {
    let mut announcer = Announcer::new(options);
    wanted.mark_changed();
    loop {
        tokio::select! {
            biased;
            () = announcer.talk.readable() => {}
            () = readable(&announcer.ports) => {}
            changed = wanted.changed() => {
                if changed.is_err() {
                    announcer.leave().await;
                    return Ok(());
                }
                announcer.follow(wanted.borrow_and_update().clone(), Instant::now());
            }
            changed = links.changed() => {
                changed.context(DEAF)?;
                announcer.look_by(Instant::now() + SETTLE);
            }
            () = at(announcer.next_deadline()) => {}
        }
        if announcer.look_at.is_some_and(|at| at <= Instant::now()) {
            links.drain().context(DEAF)?;
            let there = links.read(&announcer.names()).await.context(DEAF)?;
            announcer.look(there, Instant::now());
        }
        announcer.turn();
        announcer.publish(statuses, Instant::now());
    }
}

struct Announcer {
    interfaces: Interfaces,
    wanted: Arc<Wanted>,
    incarnation: u64,
    circle: Circle,
    peers: Peers,
    talk: Talk,
    /// There are others, and no way to talk with them.
    is_cut_off: bool,
    election: Election,
    schedule: Schedule,
    ports: BTreeMap<Arc<str>, Port>,
    rivals: Rivals,
    look_at: Option<Instant>,
    /// Some frames or sockets were left for another turn.
    again: Option<Instant>,
    is_changed: bool,
    publish_at: Option<Instant>,
    published: Option<Instant>,
}

impl Announcer {
    fn new(options: &L2Config) -> Self {
        // Greater each time, as long as the clock is not set back; if it is,
        // the others wait until they have not heard us for a while.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let incarnation = (since.as_nanos() as u64).max(1);
        Self {
            interfaces: Interfaces::new(&options.interfaces),
            wanted: Arc::default(),
            incarnation,
            circle: Circle::default(),
            peers: Peers::new(Arc::default(), incarnation),
            talk: Talk::new(options.port),
            is_cut_off: false,
            election: Election::default(),
            schedule: Schedule::new(incarnation),
            ports: BTreeMap::new(),
            rivals: Rivals::default(),
            look_at: None,
            again: None,
            is_changed: true,
            publish_at: None,
            published: None,
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let mine = [self.look_at, self.again, self.publish_at];
        let parts = [
            self.circle.next_deadline(),
            self.peers.next_deadline(),
            self.election.next_deadline(),
            self.schedule.next_deadline(),
        ];
        mine.into_iter().chain(parts).flatten().min()
    }

    fn look_by(&mut self, at: Instant) {
        self.look_at = Some(self.look_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn follow(&mut self, wanted: Arc<Wanted>, now: Instant) {
        if wanted.me != self.wanted.me {
            self.peers = Peers::new(wanted.me.clone(), self.incarnation);
            self.circle = Circle::default();
        }
        if self.circle.set(&wanted.nodes, now) || wanted.me != self.wanted.me {
            self.know(&wanted.me, now);
        }
        self.election.set(&wanted, now);
        self.wanted = wanted;
        self.is_changed = true;
        self.look_by(now);
    }

    /// Whom to talk with.
    fn know(&mut self, me: &Arc<str>, now: Instant) {
        self.talk.set(me, self.circle.addresses());
        self.peers.set_nodes(self.circle.nodes(), now);
    }

    fn names(&self) -> BTreeSet<Arc<str>> {
        self.interfaces.names(self.election.vips().map(|(_, candidates)| candidates))
    }

    /// Opens and closes sockets as interfaces come and go. Without an interface
    /// to announce it on, we are not ready for a VIP; nor for any that others may
    /// have, while we cannot talk to them.
    fn look(&mut self, there: BTreeMap<Arc<str>, Seen>, now: Instant) {
        self.look_at = None;
        self.is_changed |= self.interfaces.set(there);
        self.open_ports(now);
        if self.talk.open() {
            self.look_by(now + RETRY);
        }
        let is_cut_off = self.talk.is_mute() && self.wanted.nodes.len() > 1;
        if self.is_cut_off != is_cut_off {
            (self.is_cut_off, self.is_changed) = (is_cut_off, true);
            self.peers.listen_anew(now);
        }
        if self.is_changed {
            let ready = if is_cut_off { BTreeMap::new() } else { self.election.ready(&self.interfaces) };
            self.peers.set_ready(ready, self.wanted.leaving, now);
        }
    }

    fn open_ports(&mut self, now: Instant) {
        let mut wants: BTreeMap<Arc<str>, [bool; 2]> = BTreeMap::new();
        for (vip, candidates) in self.election.vips() {
            for name in self.interfaces.of(candidates) {
                wants.entry(name.clone()).or_default()[usize::from(vip.is_ipv6())] = true;
            }
        }
        let interfaces = &self.interfaces;
        self.ports.retain(|name, port| {
            let stays = interfaces.link(name) == Some(port.link) && wants.contains_key(name);
            if !stays {
                info!(interface = %name, "no longer announcing here");
            }
            stays
        });
        let mut is_new = false;
        for (name, wants) in wants {
            let Some(link) = self.interfaces.link(&name) else { continue };
            let port = self.ports.entry(name.clone()).or_insert_with(|| {
                // Who was not heard may have been behind it.
                self.peers.listen_anew(now);
                Port::new(link)
            });
            match port.open(wants) {
                Ok(opened) => is_new |= opened,
                Err(error) => {
                    warn!(interface = %name, "cannot open a packet socket: {error}; the agent needs CAP_NET_RAW");
                    self.look_at = Some(now + RETRY);
                }
            }
        }
        if is_new {
            self.is_changed = true;
            // Whoever is behind an interface that has just come up knows nothing.
            self.announce_anew(now);
        }
    }

    fn announce_anew(&mut self, now: Instant) {
        for vip in self.election.announced() {
            self.schedule.start(*vip, now);
        }
    }

    /// Listen, decide, speak; only then answer. What was asked before something
    /// became ours has had its answer from another; what is no longer ours must
    /// not be answered for; and others must not hear that it was let go before
    /// it is.
    fn turn(&mut self) {
        self.again = None;
        let questions = self.questions();
        let now = Instant::now();
        let peers = &mut self.peers;
        if self.talk.receive(|hello| peers.hear(hello, now)) {
            self.again = Some(now);
        }
        if self.circle.forget(now) {
            self.know(&self.wanted.me.clone(), now);
        }
        let hellos = self.peers.poll(now);
        let is_due = self.election.next_deadline().is_some_and(|at| at <= now);
        if self.peers.take_news() | std::mem::take(&mut self.is_changed) | is_due {
            self.elect(now);
        }
        if self.peers.take_victory() {
            self.announce_anew(now);
        }
        for (node, hello) in hellos {
            self.talk.send(&node, &hello);
        }
        for (name, question) in questions {
            if self.is_on(&question.target, &name)
                && let Some(port) = self.ports.get(&name)
                && let Some(rival) = port.answer(&question)
            {
                self.rivals.tell(question.target, rival, now);
            }
        }
        for vip in self.schedule.take(now) {
            self.tell(vip);
        }
    }

    fn elect(&mut self, now: Instant) {
        let changes = self.election.decide(&self.peers, now);
        self.peers.set_announced(self.election.announced(), now);
        for vip in &changes.started {
            self.schedule.start(*vip, now);
        }
        for vip in &changes.stopped {
            self.schedule.stop(vip);
        }
        if !changes.started.is_empty() || !changes.stopped.is_empty() {
            let (started, stopped) = (changes.started.len(), changes.stopped.len());
            info!("announcing {started} more VIPs on the link, and {stopped} no longer");
            debug!("{changes:?}");
        }
        self.join();
        if self.publish_at.is_none() {
            self.publish_at = Some(self.published.map_or(now, |published| published + PUBLISH));
        }
    }

    fn join(&mut self) {
        for (name, port) in &mut self.ports {
            let announced = self.election.announced().iter().filter_map(|vip| match vip {
                IpAddr::V6(vip6) if is_on(&self.election, &self.interfaces, vip, name) => {
                    Some(wire::solicited_node(*vip6))
                }
                _ => None,
            });
            if let Err(error) = port.join(&announced.collect()) {
                warn!(interface = %name, "cannot join a multicast group of neighbour discovery: {error}");
            }
        }
    }

    /// For what we announce, and where each was asked.
    fn questions(&mut self) -> Vec<(Arc<str>, Question)> {
        let mut questions = Vec::new();
        for (name, port) in &self.ports {
            let asked = port.receive(|question| {
                if self.is_on(&question.target, name) {
                    questions.push((name.clone(), question));
                }
            });
            match asked {
                Ok(Asked::All) => {}
                Ok(Asked::More) => self.again = Some(Instant::now()),
                Err(error) => {
                    debug!(interface = %name, "cannot receive: {error}");
                    self.look_at = Some(Instant::now() + SETTLE);
                }
            }
        }
        questions
    }

    /// Everybody on the link, where the VIP is.
    fn tell(&self, vip: IpAddr) {
        for (name, port) in &self.ports {
            if self.is_on(&vip, name) {
                port.announce(vip);
            }
        }
    }

    fn is_on(&self, vip: &IpAddr, interface: &Arc<str>) -> bool {
        is_on(&self.election, &self.interfaces, vip, interface)
    }

    fn publish(&mut self, statuses: &watch::Sender<Arc<Vec<VipStatus>>>, now: Instant) {
        if self.publish_at.is_none_or(|at| at > now) {
            return;
        }
        (self.publish_at, self.published) = (None, Some(now));
        let new = self.election.statuses(&self.peers, &self.interfaces);
        statuses.send_if_modified(|before| {
            let differs = **before != new;
            if differs {
                *before = Arc::new(new);
            }
            differs
        });
    }

    /// More than once: a word may be lost.
    async fn leave(&mut self) {
        self.peers.set_ready(BTreeMap::new(), true, Instant::now());
        for _ in 0..3 {
            self.turn();
            self.peers.speak_to_all(Instant::now());
            sleep(GOODBYE).await;
        }
    }
}

/// Do we announce the VIP on this interface?
fn is_on(election: &Election, interfaces: &Interfaces, vip: &IpAddr, interface: &Arc<str>) -> bool {
    election.announces(vip).is_some_and(|candidates| interfaces.is_on(candidates, interface))
}
