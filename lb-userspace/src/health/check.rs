//! Checks of bare servers: rounds by the clock, in which each is asked once,
//! as clients would ask it, and has until the round's end to answer.
//!
//! What is sent is addressed to the VIP, since the server is to have it; its
//! mark has the program at the uplink's egress send it to this one server, by
//! the same delivery as traffic.

mod ask;
mod echo;
mod http;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::{StreamExt, stream::FuturesUnordered};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{sync::watch, time::MissedTickBehavior};
use tracing::{debug, warn};

use super::{
    prober::Prober,
    record::{Healths, Probing, publish},
    targets::{Question, Targets},
};
use crate::plan::Subject;
use ask::Outcome;

/// Checks whom `targets` names, and tells how everybody is after each round.
/// Ends when nobody listens any more.
pub async fn follow(
    checking: Probing,
    mut targets: watch::Receiver<Targets>,
    out: watch::Sender<Healths>,
) -> anyhow::Result<()> {
    raise_open_files();
    let mut rounds = Rounds::new(checking)?;
    let mut ticks = tokio::time::interval(checking.interval);
    // Whoever was kept from running gives everybody the whole time to answer.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    while !out.is_closed() {
        let servers = targets.borrow_and_update().servers.clone();
        rounds.run(&servers, ticks.tick()).await;
        publish(&out, rounds.prober.healths(), |subject| matches!(subject, Subject::Server(..)));
    }
    Ok(())
}

/// As many sockets as there are servers to ask at a time: more than the 1024
/// descriptors that a process is given at first.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Without, some are not asked, and that is told.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

struct Rounds {
    prober: Prober,
    secret: u64,
    /// Why servers could not be asked in the last round.
    hindered: BTreeMap<Subject, String>,
}

impl Rounds {
    fn new(checking: Probing) -> anyhow::Result<Self> {
        let mut secret = [0; 8];
        rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())
            .context("no random number for checks")?;
        let secret = u64::from_ne_bytes(secret);
        Ok(Self { prober: Prober::new(checking.limits), secret, hindered: BTreeMap::new() })
    }

    /// Asks all of them, until `end`.
    async fn run(&mut self, servers: &BTreeMap<Subject, Question>, end: impl Future) {
        self.prober.track(servers.keys().copied(), Instant::now());
        let (sequence, asked) = self.prober.open();
        let secret = self.secret;
        let questions = asked.filter_map(|subject| Some((subject, servers.get(&subject)?)));
        let mut answers: FuturesUnordered<_> = questions
            .map(|(subject, question)| async move {
                let start = Instant::now();
                (subject, ask::ask(question, secret, sequence).await, start.elapsed())
            })
            .collect();
        let mut hindered = BTreeMap::new();
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                Some((subject, outcome, took)) = answers.next() => {
                    self.note(subject, outcome, sequence, took, &mut hindered);
                }
                _ = &mut end => break,
            }
        }
        drop(answers);
        self.tell(hindered);
        self.prober.close(Instant::now());
    }

    fn note(
        &mut self,
        subject: Subject,
        outcome: Outcome,
        sequence: u64,
        took: Duration,
        hindered: &mut BTreeMap<Subject, String>,
    ) {
        match outcome {
            Outcome::Passed => self.prober.answered(&subject, sequence, took),
            Outcome::Failed(reason) => debug!(?subject, "a check failed: {reason}"),
            Outcome::Unasked(reason) => {
                self.prober.excuse(&subject);
                hindered.insert(subject, reason);
            }
        }
    }

    /// Each hindrance once.
    fn tell(&mut self, hindered: BTreeMap<Subject, String>) {
        for (subject, reason) in &hindered {
            if self.hindered.get(subject) != Some(reason) {
                warn!("{subject} cannot be checked, and stays as it is: {reason}; trying on");
            }
        }
        self.hindered = hindered;
    }
}
