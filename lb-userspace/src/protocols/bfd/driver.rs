//! Runs the sessions with sockets and timers.

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
    Profile, SessionKey, SessionState, SessionStatus,
    demux::{self, Arrival, Candidate},
    session::{BfdSession, SessionInput},
    socket::{Datagram, ListenPort, Receiver, Sender},
    wire::ControlPacket,
};
use crate::os::{moment::wait_until, priority::prefer_this_thread, random::random_number};

/// How many datagrams of a port are processed before timers are.
const BATCH: usize = 256;
/// Time from a failure of a socket to the next attempt.
const RETRY: Duration = Duration::from_secs(1);

type WantedSessions = Arc<BTreeMap<SessionKey, Profile>>;
type Statuses = Arc<BTreeMap<SessionKey, SessionStatus>>;

/// Keeps a session for each key. Another profile changes the timers of a running
/// session and resets nothing. When the sender of `wanted` is gone, it signals AdminDown to
/// all remote systems (RFC 5880, section 6.8.16), and returns.
///
/// Needs a thread and a runtime of its own: a session may go down if the future is not
/// polled for a few milliseconds. The sockets belong to the network namespace of that
/// thread.
pub async fn run(
    mut wanted: watch::Receiver<WantedSessions>,
    statuses: watch::Sender<Statuses>,
) -> anyhow::Result<()> {
    prefer_this_thread("BFD");
    let mut driver = Driver::default();
    let mut is_ending = false;
    wanted.mark_changed();
    loop {
        tokio::select! {
            biased;
            () = wait_readable(&driver.receivers) => {}
            () = wait_until(driver.next_deadline()) => {}
            changed = wanted.changed(), if !is_ending => {
                is_ending = changed.is_err();
                let profiles = if is_ending { WantedSessions::default() } else { wanted.borrow_and_update().clone() };
                driver.set_wanted(&profiles, Instant::now()).context("cannot begin a BFD session")?;
            }
        }
        driver.open_receivers(Instant::now());
        // Packets before timers: a packet that has arrived may stop a detection timer.
        driver.receive_datagrams();
        driver.run_timers(Instant::now());
        driver.publish_statuses(&statuses);
        if is_ending && driver.sessions.is_empty() {
            return Ok(());
        }
    }
}

/// Waits until a socket is readable or has failed; reading it then reports the failure.
async fn wait_readable(receivers: &BTreeMap<ListenPort, Receiver>) {
    if receivers.is_empty() {
        return std::future::pending().await;
    }
    let _ = select_all(receivers.values().map(|receiver| receiver.readable().boxed())).await;
}

#[derive(Default)]
struct Driver {
    sessions: BTreeMap<SessionKey, DrivenSession>,
    receivers: BTreeMap<ListenPort, Receiver>,
    /// When to run again for what has failed or was put off.
    wake_at: Option<Instant>,
    /// Ports that could not be opened, so that each failure is logged once.
    failed: BTreeSet<ListenPort>,
    has_status_changes: bool,
}

struct DrivenSession {
    session: BfdSession,
    discriminator: u32,
    profile: Profile,
    sender: Sender,
    is_wanted: bool,
    /// The last packet could not be sent; kept so that a failure is logged once.
    has_failed: bool,
}

impl Driver {
    fn next_deadline(&self) -> Option<Instant> {
        self.sessions.values().filter_map(|entry| entry.session.next_deadline()).chain(self.wake_at).min()
    }

    fn set_wanted(&mut self, wanted: &BTreeMap<SessionKey, Profile>, now: Instant) -> io::Result<()> {
        self.has_status_changes = true;
        for (key, entry) in &mut self.sessions {
            if entry.is_wanted && !wanted.contains_key(key) {
                entry.is_wanted = false;
                entry.process(key, SessionInput::Stop, now);
            }
        }
        for (key, profile) in wanted {
            match self.sessions.get_mut(key).filter(|entry| entry.is_wanted) {
                Some(entry) => {
                    entry.profile = *profile;
                    entry.process(key, SessionInput::Profile(*profile), now);
                }
                // It replaces a session of this key that is about to end: the packets of
                // two would contradict each other.
                None => {
                    let entry = DrivenSession::new(key, *profile, self.unused_discriminator()?, now);
                    self.sessions.insert(key.clone(), entry);
                }
            }
        }
        let ports: BTreeSet<_> = self.sessions.keys().map(ListenPort::for_session).collect();
        self.receivers.retain(|port, _| ports.contains(port));
        Ok(())
    }

    fn unused_discriminator(&self) -> io::Result<u32> {
        loop {
            let number = random_number()?;
            if number != 0 && self.sessions.values().all(|entry| entry.discriminator != number) {
                return Ok(number);
            }
        }
    }

    fn open_receivers(&mut self, now: Instant) {
        if self.wake_at.is_some_and(|at| at > now) {
            return;
        }
        self.wake_at = None;
        let ports: BTreeSet<_> = self.sessions.keys().map(ListenPort::for_session).collect();
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
                    self.wake_at = Some(now + RETRY);
                }
            }
        }
    }

    fn receive_datagrams(&mut self) {
        let mut failed = Vec::new();
        for (port, receiver) in &self.receivers {
            for taken in 0.. {
                if taken == BATCH {
                    self.wake_at = Some(Instant::now());
                    break;
                }
                match receiver.receive() {
                    Ok(Some(datagram)) => {
                        self.has_status_changes |=
                            process_datagram(&mut self.sessions, *port, receiver, &datagram);
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
            self.wake_at = Some(Instant::now() + RETRY);
        }
    }

    fn run_timers(&mut self, now: Instant) {
        for (key, entry) in &mut self.sessions {
            if entry.session.next_deadline().is_some_and(|at| at <= now) {
                self.has_status_changes |= entry.process(key, SessionInput::Timer, now);
            }
        }
        self.sessions.retain(|_, entry| !entry.session.has_ended());
    }

    fn publish_statuses(&mut self, statuses: &watch::Sender<Statuses>) {
        if !std::mem::take(&mut self.has_status_changes) {
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

/// Passes a datagram to its session; true if that changed the session's status.
fn process_datagram(
    sessions: &mut BTreeMap<SessionKey, DrivenSession>,
    port: ListenPort,
    receiver: &Receiver,
    datagram: &Datagram,
) -> bool {
    let packet = match ControlPacket::decode(datagram.bytes()) {
        Ok(packet) => packet,
        Err(why) => {
            debug!("discarded a packet from {}: {why}", datagram.from);
            return false;
        }
    };
    // The interface matters only for packets without Your Discriminator.
    let interface = (packet.yours == 0).then(|| receiver.interface_name(datagram.ifindex)).flatten();
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
    let Some(key) = demux::select_session(candidates, &packet, &arrival).cloned() else {
        debug!("discarded a packet for no session of ours: {arrival:?}");
        return false;
    };
    sessions
        .get_mut(&key)
        .is_some_and(|entry| entry.process(&key, SessionInput::Packet(packet), Instant::now()))
}

impl DrivenSession {
    fn new(key: &SessionKey, profile: Profile, discriminator: u32, now: Instant) -> Self {
        Self {
            session: BfdSession::new(discriminator, profile, now),
            discriminator,
            profile,
            sender: Sender::new(key.clone()),
            is_wanted: true,
            has_failed: false,
        }
    }

    /// Passes an input to the session and sends its packet; true if its status changed.
    fn process(&mut self, key: &SessionKey, input: SessionInput, now: Instant) -> bool {
        let before = self.session.status();
        if let Some(packet) = self.session.process(input, now) {
            let result = self.sender.send(&packet.encode());
            self.log_send_result(key, &result);
        }
        let after = self.session.status();
        if after.state != before.state {
            self.log_change(key, input, before.state, after.state);
        }
        after != before
    }

    fn log_send_result(&mut self, key: &SessionKey, result: &io::Result<()>) {
        let remote = key.remote;
        match result {
            Err(error) if !self.has_failed => warn!(%remote, "cannot send BFD packets: {error}"),
            Ok(()) if self.has_failed => info!(%remote, "BFD packets can be sent again"),
            _ => {}
        }
        self.has_failed = result.is_err();
    }

    fn log_change(&self, key: &SessionKey, input: SessionInput, before: SessionState, after: SessionState) {
        let (remote, ours) = (key.remote, self.session.diagnostic().name());
        match (before, after, input) {
            (SessionState::Up, SessionState::Down, SessionInput::Packet(packet)) => {
                warn!(%remote, "BFD session down: {ours} ({})", packet.diagnostic.name());
            }
            (SessionState::Up, SessionState::Down, _) => warn!(%remote, "BFD session down: {ours}"),
            (_, SessionState::Up, _) => info!(%remote, "BFD session up"),
            _ => debug!(%remote, "BFD session was {before:?}, is {after:?}"),
        }
    }
}
