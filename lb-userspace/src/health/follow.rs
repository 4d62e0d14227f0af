//! The loop that probes: rounds by the clock, sockets, and nothing else.

use std::{
    future::{Future, pending},
    io,
    net::IpAddr,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::future::select_all;
use lb_common::Addr;
use tokio::{sync::watch, time::MissedTickBehavior};
use tracing::{debug, warn};

use super::{
    prober::Prober,
    record::{Healths, Probing, publish},
    sockets::Sockets,
    targets::Targets,
    wire::Question,
};
use crate::plan::Subject;
use crate::{objects::model::DeliveryMode, plan::BackendKey};

/// Datagrams taken in one go: a flood must not keep a round from ending.
const AT_ONCE: usize = 4096;

/// Probes whom `targets` names, and tells how everybody is after each round.
/// Ends when nobody listens any more.
pub async fn follow(
    probing: Probing,
    mut targets: watch::Receiver<Targets>,
    out: watch::Sender<Healths>,
) -> anyhow::Result<()> {
    let mut work = Work::new(probing)?;
    let mut halves = tokio::time::interval(probing.interval / 2);
    // Whoever was kept from running gives everybody the whole time to answer.
    halves.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !out.is_closed() {
        halves.tick().await;
        let wanted = targets.borrow_and_update().clone();
        work.ask(&wanted);
        work.listen(halves.tick()).await.context("cannot receive the answers to probes")?;
        publish(&out, work.judge(), |subject| matches!(subject, Subject::Node(_)));
    }
    Ok(())
}

struct Work {
    prober: Prober,
    sockets: Vec<Sockets>,
    /// The address that no socket could be had on, once told.
    refused: Option<IpAddr>,
    secret: u64,
    clock: Instant,
}

impl Work {
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

    /// One probe to everybody. One that cannot be sent is lost.
    fn ask(&mut self, targets: &Targets) {
        self.open_sockets(&targets.own);
        self.prober.track(targets.nodes.iter().copied().map(Subject::Node), Instant::now());
        let (sequence, _) = self.prober.open();
        for node in &targets.nodes {
            let to = IpAddr::from(node.addr);
            let sockets = self.sockets.iter_mut().find(|own| own.address().is_ipv4() == to.is_ipv4());
            let question = Question {
                secret: self.secret,
                sequence,
                sent: self.clock.elapsed().as_nanos() as u64,
                is_ipip: node.mode == DeliveryMode::Ipip,
            };
            if let Some(Err(e)) = sockets.map(|sockets| sockets.send(to, &question)) {
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
            match Sockets::open(*address) {
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

    /// Takes answers until `end`, and those that have come by then.
    async fn listen(&mut self, end: impl Future) -> io::Result<()> {
        tokio::pin!(end);
        loop {
            tokio::select! {
                readable = readable(&self.sockets) => readable?,
                _ = &mut end => break,
            }
            self.take();
        }
        self.take();
        Ok(())
    }

    fn take(&mut self) {
        let now = self.now();
        for sockets in &self.sockets {
            for _ in 0..AT_ONCE {
                match sockets.receive() {
                    Ok(Some((from, question))) if question.secret == self.secret => {
                        let round_trip = now.saturating_sub(Duration::from_nanos(question.sent));
                        self.prober.answered(
                            &Subject::Node(node(from, &question)),
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

    fn judge(&mut self) -> Healths {
        self.prober.close(Instant::now());
        self.prober.healths()
    }
}

async fn readable(sockets: &[Sockets]) -> io::Result<()> {
    if sockets.is_empty() {
        return pending().await;
    }
    select_all(sockets.iter().map(|sockets| Box::pin(sockets.readable()))).await.0
}

/// Who it was that answered.
fn node(from: IpAddr, question: &Question) -> BackendKey {
    let fellow = BackendKey::fellow(Addr::from(from));
    if question.is_ipip { BackendKey { mode: DeliveryMode::Ipip, ..fellow } } else { fellow }
}
