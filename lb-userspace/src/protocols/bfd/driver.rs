//! Sessions on sockets and timers.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::{FutureExt, future::select_all};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::{
    Key, Profile, State, Status,
    demux::{self, Arrival, Candidate},
    session::{Input, Session},
    socket::{Datagram, Port, Receiver, Sender, rand},
    wire::Packet,
};
use crate::os::{moment::at, priority::prefer_this_thread};

/// Datagrams of a port that are looked at before timers have their turn.
const BATCH: usize = 256;
/// From a failure of a socket to the next attempt.
const RETRY: Duration = Duration::from_secs(1);

type Wanted = Arc<BTreeMap<Key, Profile>>;
type Statuses = Arc<BTreeMap<Key, Status>>;

/// Keeps a session for each key. Another profile changes the timers of a
/// running session and resets nothing. When the sender of `wanted` is gone, all
/// other sides are told that it ends on purpose, and so it does.
///
/// Is for a thread of its own, with a runtime of its own: what keeps it from
/// being polled for a few milliseconds may cost a session. The sockets belong
/// to the network namespace of that thread.
pub async fn run(
    mut wanted: watch::Receiver<Wanted>,
    statuses: watch::Sender<Statuses>,
) -> anyhow::Result<()> {
    prefer_this_thread("BFD");
    let mut driver = Driver::default();
    let mut is_ending = false;
    wanted.mark_changed();
    loop {
        tokio::select! {
            biased;
            () = readable(&driver.receivers) => {}
            () = at(driver.next_deadline()) => {}
            changed = wanted.changed(), if !is_ending => {
                is_ending = changed.is_err();
                let profiles = if is_ending { Wanted::default() } else { wanted.borrow_and_update().clone() };
                driver.follow(&profiles, Instant::now()).context("cannot begin a BFD session")?;
            }
        }
        driver.open_receivers(Instant::now());
        // First what has come: it may be what a timer has waited for.
        driver.receive();
        driver.tick(Instant::now());
        driver.publish(&statuses);
        if is_ending && driver.sessions.is_empty() {
            return Ok(());
        }
    }
}

/// A failure is heard of when the socket is read.
async fn readable(receivers: &BTreeMap<Port, Receiver>) {
    if receivers.is_empty() {
        return std::future::pending().await;
    }
    let _ = select_all(receivers.values().map(|receiver| receiver.readable().boxed())).await;
}

#[derive(Default)]
struct Driver {
    sessions: BTreeMap<Key, Entry>,
    receivers: BTreeMap<Port, Receiver>,
    /// When to look again for what could not be done, or not yet.
    again: Option<Instant>,
    /// Ports that could not be opened, so that it is not logged again and again.
    failed: BTreeSet<Port>,
    has_news: bool,
}

struct Entry {
    session: Session,
    discriminator: u32,
    profile: Profile,
    sender: Sender,
    is_wanted: bool,
    /// So that it is not logged again and again.
    has_failed: bool,
}

impl Driver {
    fn next_deadline(&self) -> Option<Instant> {
        self.sessions.values().filter_map(|entry| entry.session.next_deadline()).chain(self.again).min()
    }

    fn follow(&mut self, wanted: &BTreeMap<Key, Profile>, now: Instant) -> io::Result<()> {
        self.has_news = true;
        for (key, entry) in &mut self.sessions {
            if entry.is_wanted && !wanted.contains_key(key) {
                entry.is_wanted = false;
                entry.process(key, Input::Stop, now);
            }
        }
        for (key, profile) in wanted {
            match self.sessions.get_mut(key).filter(|entry| entry.is_wanted) {
                Some(entry) => {
                    entry.profile = *profile;
                    entry.process(key, Input::Profile(*profile), now);
                }
                // Instead of one that is about to end, if there is one: two
                // would contradict each other.
                None => {
                    let entry = Entry::new(key, *profile, self.unused_discriminator()?, now);
                    self.sessions.insert(key.clone(), entry);
                }
            }
        }
        let ports: BTreeSet<_> = self.sessions.keys().map(Port::of).collect();
        self.receivers.retain(|port, _| ports.contains(port));
        Ok(())
    }

    fn unused_discriminator(&self) -> io::Result<u32> {
        loop {
            let number = rand()?;
            if number != 0 && self.sessions.values().all(|entry| entry.discriminator != number) {
                return Ok(number);
            }
        }
    }

    fn open_receivers(&mut self, now: Instant) {
        if self.again.is_some_and(|again| again > now) {
            return;
        }
        self.again = None;
        let ports: BTreeSet<_> = self.sessions.keys().map(Port::of).collect();
        for port in ports {
            if self.receivers.contains_key(&port) {
                continue;
            }
            match Receiver::open(port) {
                Ok(receiver) => {
                    self.failed.remove(&port);
                    self.receivers.insert(port, receiver);
                }
                Err(error) => {
                    if self.failed.insert(port) {
                        warn!(
                            "cannot listen to BFD on UDP port {}: {error}; is another BFD daemon running?",
                            port.number()
                        );
                    }
                    self.again = Some(now + RETRY);
                }
            }
        }
    }

    fn receive(&mut self) {
        let mut failed = Vec::new();
        for (port, receiver) in &self.receivers {
            for taken in 0.. {
                if taken == BATCH {
                    self.again = Some(Instant::now());
                    break;
                }
                match receiver.receive() {
                    Ok(Some(datagram)) => {
                        self.has_news |= take(&mut self.sessions, *port, receiver, &datagram);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        warn!("cannot receive on UDP port {}: {error}", port.number());
                        failed.push(*port);
                        break;
                    }
                }
            }
        }
        for port in failed {
            self.receivers.remove(&port);
            self.again = Some(Instant::now() + RETRY);
        }
    }

    fn tick(&mut self, now: Instant) {
        for (key, entry) in &mut self.sessions {
            if entry.session.next_deadline().is_some_and(|at| at <= now) {
                self.has_news |= entry.process(key, Input::Timer, now);
            }
        }
        self.sessions.retain(|_, entry| !entry.session.has_ended());
    }

    fn publish(&mut self, statuses: &watch::Sender<Statuses>) {
        if !std::mem::take(&mut self.has_news) {
            return;
        }
        let wanted = self.sessions.iter().filter(|(_, entry)| entry.is_wanted);
        let now: BTreeMap<_, _> = wanted.map(|(key, entry)| (key.clone(), entry.session.status())).collect();
        statuses.send_if_modified(|before| {
            let differs = **before != now;
            if differs {
                *before = Arc::new(now);
            }
            differs
        });
    }
}

/// True if it changed a session's status.
fn take(sessions: &mut BTreeMap<Key, Entry>, port: Port, receiver: &Receiver, datagram: &Datagram) -> bool {
    let packet = match Packet::decode(datagram.bytes()) {
        Ok(packet) => packet,
        Err(why) => {
            debug!("packet from {} discarded: {why}", datagram.from);
            return false;
        }
    };
    // Only who does not know the discriminator yet is known by its interface.
    let interface = (packet.yours == 0).then(|| receiver.interface(datagram.ifindex)).flatten();
    let arrival = Arrival {
        from: datagram.from,
        to: datagram.to,
        interface: interface.as_deref(),
        ttl: datagram.ttl,
        is_multihop: port.is_multihop,
    };
    let candidates = sessions.iter().map(|(key, entry)| Candidate {
        key,
        profile: &entry.profile,
        discriminator: entry.discriminator,
    });
    let Some(key) = demux::select(candidates, &packet, &arrival).cloned() else {
        debug!("packet for no session of ours: {arrival:?}");
        return false;
    };
    sessions.get_mut(&key).is_some_and(|entry| entry.process(&key, Input::Packet(packet), Instant::now()))
}

impl Entry {
    fn new(key: &Key, profile: Profile, discriminator: u32, now: Instant) -> Self {
        Self {
            session: Session::new(discriminator, profile, now),
            discriminator,
            profile,
            sender: Sender::new(key.clone()),
            is_wanted: true,
            has_failed: false,
        }
    }

    /// True if it changed the session's status.
    fn process(&mut self, key: &Key, input: Input, now: Instant) -> bool {
        let before = self.session.status();
        if let Some(packet) = self.session.process(input, now) {
            let result = self.sender.send(&packet.encode());
            self.report(key, &result);
        }
        let after = self.session.status();
        if after.state != before.state {
            self.log(key, input, before.state, after.state);
        }
        after != before
    }

    fn report(&mut self, key: &Key, result: &io::Result<()>) {
        let remote = key.remote;
        match result {
            Err(error) if !self.has_failed => warn!(%remote, "cannot send BFD packets: {error}"),
            Ok(()) if self.has_failed => info!(%remote, "BFD packets can be sent again"),
            _ => {}
        }
        self.has_failed = result.is_err();
    }

    fn log(&self, key: &Key, input: Input, before: State, after: State) {
        let (remote, ours) = (key.remote, self.session.diagnostic().name());
        match (before, after, input) {
            (State::Up, State::Down, Input::Packet(packet)) => {
                warn!(%remote, "BFD session down: {ours} ({})", packet.diagnostic.name());
            }
            (State::Up, State::Down, _) => warn!(%remote, "BFD session down: {ours}"),
            (_, State::Up, _) => info!(%remote, "BFD session up"),
            _ => debug!(%remote, "BFD session was {before:?}, is {after:?}"),
        }
    }
}
