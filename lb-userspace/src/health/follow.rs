//! Probing of nodes: rounds by the clock, and the sockets of probes.

use std::{
    future::{Future, pending},
    io,
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::future::select_all;
use lb_common::Addr;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::{
    prober::Prober,
    record::{Healths, Probing, publish_healths},
    sockets::ProbeSockets,
    targets::Targets,
    wire::ProbeQuestion,
};
use crate::{
    objects::model::DeliveryMode,
    os::moment::ticks_every,
    plan::{BackendKey, Subject},
};

/// Datagrams taken in one go: a flood must not keep a round from ending.
const DATAGRAMS_AT_ONCE: usize = 4096;

/// Probes the nodes of `targets`, and publishes the health of all of them in `out` after
/// each round. Ends when `out` has no receiver any more, or if a socket fails to receive.
pub async fn follow(
    probing: Probing,
    mut targets: watch::Receiver<Targets>,
    out: watch::Sender<Healths>,
) -> anyhow::Result<()> {
    let mut rounds = ProbeRounds::new(probing)?;
    // After a late start of a round, nodes still have the whole time to answer.
    let mut half_intervals = ticks_every(probing.interval / 2);
    while !out.is_closed() {
        half_intervals.tick().await;
        let wanted = targets.borrow_and_update().clone();
        rounds.send_probes(&wanted);
        rounds
            .collect_answers(half_intervals.tick())
            .await
            .context("cannot receive the answers to probes")?;
        publish_healths(&out, rounds.finish_round(), |subject| matches!(subject, Subject::Node(_)));
    }
    Ok(())
}

struct ProbeRounds {
    prober: Prober,
    sockets: Vec<ProbeSockets>,
    /// The last address on which no socket could be opened, which is logged once.
    refused: Option<IpAddr>,
    secret: u64,
    clock: Instant,
}

impl ProbeRounds {
    fn new(probing: Probing) -> anyhow::Result<Self> {
        let mut secret = [0; 8];
        rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())
            .context("no random number for probes")?;
        Ok(Self {
            prober: Prober::new(probing.limits),
            sockets: Vec::new(),
            refused: None,
            secret: u64::from_ne_bytes(secret),
            clock: Instant::now(),
        })
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Sends one probe to each node. One that cannot be sent counts as lost.
    fn send_probes(&mut self, targets: &Targets) {
        self.open_sockets(&targets.own);
        self.prober.track(targets.nodes.iter().copied().map(Subject::Node), Instant::now());
        let (sequence, _) = self.prober.open_round();
        for node in &targets.nodes {
            let to = IpAddr::from(node.addr);
            let sockets = self.sockets.iter_mut().find(|own| own.address().is_ipv4() == to.is_ipv4());
            let question = ProbeQuestion {
                secret: self.secret,
                sequence,
                sent: self.clock.elapsed().as_nanos() as u64,
                is_ipip: node.mode == DeliveryMode::Ipip,
            };
            if let Some(Err(e)) = sockets.map(|sockets| sockets.send_probe(to, &question)) {
                debug!(node = %to, "a probe cannot be sent: {e}");
            }
        }
    }

    fn open_sockets(&mut self, own: &[IpAddr]) {
        self.sockets.retain(|sockets| own.contains(&sockets.address()));
        for address in own {
            if self.sockets.iter().any(|sockets| sockets.address() == *address) {
                continue;
            }
            match ProbeSockets::open(*address) {
                Ok(sockets) => self.sockets.push(sockets),
                Err(e) if self.refused != Some(*address) => {
                    self.refused = Some(*address);
                    warn!(
                        "cannot probe from {address}, this machine's address by its Node object: {e}; trying on"
                    );
                }
                Err(_) => {}
            }
        }
    }

    /// Takes answers as they come until `end`, then those that the sockets still hold.
    async fn collect_answers(&mut self, end: impl Future) -> io::Result<()> {
        tokio::pin!(end);
        loop {
            tokio::select! {
                readable = readable(&self.sockets) => readable?,
                _ = &mut end => break,
            }
            self.receive_waiting();
        }
        self.receive_waiting();
        Ok(())
    }

    fn receive_waiting(&mut self) {
        let now = self.now();
        for sockets in &self.sockets {
            for _ in 0..DATAGRAMS_AT_ONCE {
                match sockets.receive_answer() {
                    Ok(Some((from, question))) if question.secret == self.secret => {
                        let round_trip = now.saturating_sub(Duration::from_nanos(question.sent));
                        self.prober.record_answer(
                            &Subject::Node(answering_node(from, &question)),
                            question.sequence,
                            round_trip,
                        );
                    }
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
    }

    fn finish_round(&mut self) -> Healths {
        self.prober.close_round(Instant::now());
        self.prober.healths()
    }
}

async fn readable(sockets: &[ProbeSockets]) -> io::Result<()> {
    if sockets.is_empty() {
        return pending().await;
    }
    select_all(sockets.iter().map(|sockets| Box::pin(sockets.readable()))).await.0
}

/// The node that answered, with the delivery that was probed.
fn answering_node(from: IpAddr, question: &ProbeQuestion) -> BackendKey {
    let fellow = BackendKey::fellow_node(Addr::from(from));
    if question.is_ipip { BackendKey { mode: DeliveryMode::Ipip, ..fellow } } else { fellow }
}
