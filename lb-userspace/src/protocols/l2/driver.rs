//! Runs hellos, election and answers with sockets and timers.

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
    L2Config, L2Orders, VipStatus,
    announce::AnnouncementSchedule,
    elect::Election,
    hello_nodes::HelloNodes,
    hello_sockets::HelloSockets,
    interfaces::Interfaces,
    links::{InterfaceState, LinkWatcher},
    peers::OtherAgents,
    port::{Backlog, LinkPort, wait_readable},
    rival_warnings::RivalWarnings,
    wire::{self, AddressQuestion},
};
use crate::os::{moment::wait_until, priority::prefer_this_thread};

/// Time from a change of an interface until it is read: changes come in bursts.
const SETTLE: Duration = Duration::from_millis(5);
/// Time from a failed attempt to the next.
const RETRY: Duration = Duration::from_secs(1);
/// The shortest time between two publications of the statuses, which are for people.
const PUBLISH: Duration = Duration::from_millis(100);
/// Time between the last hellos.
const GOODBYE: Duration = Duration::from_millis(20);

const CANNOT_LISTEN: &str = "cannot follow changes of interfaces (netlink)";

/// Announces the VIPs that this node is elected for, and publishes which node is
/// elected for each VIP. When the sender of `wanted` is gone, it tells the other agents
/// that it leaves, and returns.
///
/// Needs a thread and a runtime of its own: other agents take this one for dead if the
/// future is not polled in time. The sockets belong to the network namespace of that
/// thread. Needs CAP_NET_RAW.
pub async fn run(
    options: L2Config,
    wanted: watch::Receiver<Arc<L2Orders>>,
    statuses: watch::Sender<Arc<Vec<VipStatus>>>,
) -> anyhow::Result<()> {
    prefer_this_thread("announcing on links");
    let (links, connection) = LinkWatcher::open().context(CANNOT_LISTEN)?;
    tokio::select! {
        biased;
        () = connection => bail!("the netlink socket that asks for interfaces has failed"),
        result = run_announcer(&options, &links, wanted, &statuses) => result,
    }
}

async fn run_announcer(
    options: &L2Config,
    links: &LinkWatcher,
    mut wanted: watch::Receiver<Arc<L2Orders>>,
    statuses: &watch::Sender<Arc<Vec<VipStatus>>>,
) -> anyhow::Result<()> {
    let mut announcer = Announcer::new(options);
    wanted.mark_changed();
    loop {
        tokio::select! {
            biased;
            () = announcer.hello_sockets.readable() => {}
            () = wait_readable(&announcer.ports) => {}
            changed = wanted.changed() => {
                if changed.is_err() {
                    announcer.say_goodbye().await;
                    return Ok(());
                }
                announcer.set_orders(wanted.borrow_and_update().clone(), Instant::now());
            }
            changed = links.wait_for_change() => {
                changed.context(CANNOT_LISTEN)?;
                announcer.read_interfaces_by(Instant::now() + SETTLE);
            }
            () = wait_until(announcer.next_deadline()) => {}
        }
        if announcer.read_at.is_some_and(|at| at <= Instant::now()) {
            links.discard_changes().context(CANNOT_LISTEN)?;
            let there = links.read_interfaces(&announcer.interface_names()).await.context(CANNOT_LISTEN)?;
            announcer.apply_interfaces(there, Instant::now());
        }
        announcer.run_turn();
        announcer.publish_statuses(statuses, Instant::now());
    }
}

struct Announcer {
    interfaces: Interfaces,
    wanted: Arc<L2Orders>,
    incarnation: u64,
    hello_nodes: HelloNodes,
    peers: OtherAgents,
    hello_sockets: HelloSockets,
    /// There are other agents, and no socket to talk with them.
    is_cut_off: bool,
    election: Election,
    schedule: AnnouncementSchedule,
    ports: BTreeMap<Arc<str>, LinkPort>,
    rival_warnings: RivalWarnings,
    read_at: Option<Instant>,
    /// When to run another turn, for frames or datagrams that were left over.
    turn_again_at: Option<Instant>,
    is_changed: bool,
    publish_at: Option<Instant>,
    published: Option<Instant>,
}

impl Announcer {
    fn new(options: &L2Config) -> Self {
        // Greater at each start, unless the clock is set back. If it is, the other agents
        // accept the smaller number after they have not heard us for a while.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let incarnation = (since.as_nanos() as u64).max(1);
        Self {
            interfaces: Interfaces::new(&options.interfaces),
            wanted: Arc::default(),
            incarnation,
            hello_nodes: HelloNodes::default(),
            peers: OtherAgents::new(Arc::default(), incarnation),
            hello_sockets: HelloSockets::new(options.port),
            is_cut_off: false,
            election: Election::default(),
            schedule: AnnouncementSchedule::new(incarnation),
            ports: BTreeMap::new(),
            rival_warnings: RivalWarnings::default(),
            read_at: None,
            turn_again_at: None,
            is_changed: true,
            publish_at: None,
            published: None,
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let mine = [self.read_at, self.turn_again_at, self.publish_at];
        let parts = [
            self.hello_nodes.next_deadline(),
            self.peers.next_deadline(),
            self.election.next_deadline(),
            self.schedule.next_deadline(),
        ];
        mine.into_iter().chain(parts).flatten().min()
    }

    fn read_interfaces_by(&mut self, at: Instant) {
        self.read_at = Some(self.read_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn set_orders(&mut self, wanted: Arc<L2Orders>, now: Instant) {
        if wanted.me != self.wanted.me {
            self.peers = OtherAgents::new(wanted.me.clone(), self.incarnation);
            self.hello_nodes = HelloNodes::default();
        }
        if self.hello_nodes.set_nodes(&wanted.nodes, now) || wanted.me != self.wanted.me {
            self.update_circle(&wanted.me, now);
        }
        self.election.set_orders(&wanted, now);
        self.wanted = wanted;
        self.is_changed = true;
        self.read_interfaces_by(now);
    }

    /// Passes on which agents to talk with.
    fn update_circle(&mut self, me: &Arc<str>, now: Instant) {
        self.hello_sockets.set_nodes(me, self.hello_nodes.addresses());
        self.peers.set_nodes(self.hello_nodes.nodes(), now);
    }

    fn interface_names(&self) -> BTreeSet<Arc<str>> {
        self.interfaces.relevant_names(self.election.vips().map(|(_, candidates)| candidates))
    }

    /// Opens and closes sockets as interfaces come and go. We are not ready for a VIP without
    /// an interface to announce it on, and for none at all while there are other agents
    /// that we cannot talk with.
    fn apply_interfaces(&mut self, there: BTreeMap<Arc<str>, InterfaceState>, now: Instant) {
        self.read_at = None;
        self.is_changed |= self.interfaces.set_seen(there);
        self.open_ports(now);
        if self.hello_sockets.open_sockets() {
            self.read_interfaces_by(now + RETRY);
        }
        let is_cut_off = self.hello_sockets.has_no_socket() && self.wanted.nodes.len() > 1;
        if self.is_cut_off != is_cut_off {
            (self.is_cut_off, self.is_changed) = (is_cut_off, true);
            self.peers.reset_lost_agents(now);
        }
        if self.is_changed {
            let ready =
                if is_cut_off { BTreeMap::new() } else { self.election.announceable(&self.interfaces) };
            self.peers.set_ready(ready, self.wanted.leaving, now);
        }
    }

    fn open_ports(&mut self, now: Instant) {
        let mut wants: BTreeMap<Arc<str>, [bool; 2]> = BTreeMap::new();
        for (vip, candidates) in self.election.vips() {
            for name in self.interfaces.suitable_for(candidates) {
                wants.entry(name.clone()).or_default()[usize::from(vip.is_ipv6())] = true;
            }
        }
        let interfaces = &self.interfaces;
        self.ports.retain(|name, port| {
            let stays = interfaces.usable_link(name) == Some(port.link) && wants.contains_key(name);
            if !stays {
                info!(interface = %name, "no longer announcing here");
            }
            stays
        });
        let mut is_new = false;
        for (name, wants) in wants {
            let Some(link) = self.interfaces.usable_link(&name) else { continue };
            let port = self.ports.entry(name.clone()).or_insert_with(|| {
                // Agents that were not heard may be reachable by this interface.
                self.peers.reset_lost_agents(now);
                LinkPort::new(link)
            });
            match port.open(wants) {
                Ok(opened) => is_new |= opened,
                Err(error) => {
                    warn!(interface = %name, "cannot open a packet socket: {error}; the agent needs CAP_NET_RAW");
                    self.read_at = Some(now + RETRY);
                }
            }
        }
        if is_new {
            self.is_changed = true;
            // Hosts behind an interface that has just come up have heard no announcement.
            self.announce_anew(now);
        }
    }

    fn announce_anew(&mut self, now: Instant) {
        for vip in self.election.announced() {
            self.schedule.start(*vip, now);
        }
    }

    /// Receives, elects, sends hellos, and only then answers questions. The order matters:
    /// a question that came before a VIP became ours is answered by its former owner; a VIP
    /// that is no longer ours must not be answered for; and other agents must not hear that
    /// we have let a VIP go before we have.
    fn run_turn(&mut self) {
        self.turn_again_at = None;
        let questions = self.receive_questions();
        let now = Instant::now();
        let peers = &mut self.peers;
        if self.hello_sockets.receive_hellos(|hello| peers.process_hello(hello, now)) {
            self.turn_again_at = Some(now);
        }
        if self.hello_nodes.forget_expired(now) {
            self.update_circle(&self.wanted.me.clone(), now);
        }
        let hellos = self.peers.poll(now);
        let is_due = self.election.next_deadline().is_some_and(|at| at <= now);
        if self.peers.take_news() | std::mem::take(&mut self.is_changed) | is_due {
            self.run_election(now);
        }
        if self.peers.take_rival_yielded() {
            self.announce_anew(now);
        }
        for (node, hello) in hellos {
            self.hello_sockets.send(&node, &hello);
        }
        for (name, question) in questions {
            if self.is_announced_on(&question.target, &name)
                && let Some(port) = self.ports.get(&name)
                && let Some(rival) = port.answer_question(&question)
            {
                self.rival_warnings.warn_about(question.target, rival, now);
            }
        }
        for vip in self.schedule.take_due(now) {
            self.announce_vip(vip);
        }
    }

    fn run_election(&mut self, now: Instant) {
        let changes = self.election.decide_owners(&self.peers, now);
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
        self.join_groups();
        if self.publish_at.is_none() {
            self.publish_at = Some(self.published.map_or(now, |published| published + PUBLISH));
        }
    }

    fn join_groups(&mut self) {
        for (name, port) in &mut self.ports {
            let announced = self.election.announced().iter().filter_map(|vip| match vip {
                IpAddr::V6(vip6) if is_announced_on(&self.election, &self.interfaces, vip, name) => {
                    Some(wire::solicited_node_group(*vip6))
                }
                _ => None,
            });
            if let Err(error) = port.set_groups(&announced.collect()) {
                warn!(interface = %name, "cannot join a multicast group of neighbour discovery: {error}");
            }
        }
    }

    /// Questions about VIPs that we announce, each with its interface.
    fn receive_questions(&mut self) -> Vec<(Arc<str>, AddressQuestion)> {
        let mut questions = Vec::new();
        for (name, port) in &self.ports {
            let asked = port.receive_questions(|question| {
                if self.is_announced_on(&question.target, name) {
                    questions.push((name.clone(), question));
                }
            });
            match asked {
                Ok(Backlog::Empty) => {}
                Ok(Backlog::More) => self.turn_again_at = Some(Instant::now()),
                Err(error) => {
                    debug!(interface = %name, "cannot receive: {error}");
                    self.read_at = Some(Instant::now() + SETTLE);
                }
            }
        }
        questions
    }

    /// Tells all hosts on the link the VIP's MAC address.
    fn announce_vip(&self, vip: IpAddr) {
        for (name, port) in &self.ports {
            if self.is_announced_on(&vip, name) {
                port.announce_vip(vip);
            }
        }
    }

    fn is_announced_on(&self, vip: &IpAddr, interface: &Arc<str>) -> bool {
        is_announced_on(&self.election, &self.interfaces, vip, interface)
    }

    fn publish_statuses(&mut self, statuses: &watch::Sender<Arc<Vec<VipStatus>>>, now: Instant) {
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

    /// Tells the other agents that we leave, three times, as a datagram may be lost.
    async fn say_goodbye(&mut self) {
        self.peers.set_ready(BTreeMap::new(), true, Instant::now());
        for _ in 0..3 {
            self.run_turn();
            self.peers.schedule_hellos(Instant::now());
            sleep(GOODBYE).await;
        }
    }
}

/// Do we announce the VIP on this interface?
fn is_announced_on(election: &Election, interfaces: &Interfaces, vip: &IpAddr, interface: &Arc<str>) -> bool {
    election
        .announced_candidates(vip)
        .is_some_and(|candidates| interfaces.is_wanted_on(candidates, interface))
}
