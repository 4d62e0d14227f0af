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
use tokio::sync::watch;
use tracing::{debug, warn};

use super::{
    prober::Prober,
    record::{Healths, Probing, publish_healths},
    targets::{CheckQuestion, Targets},
};
use crate::{os::moment::ticks_every, plan::Subject};
use ask::CheckOutcome;

/// Checks the bare servers of `targets`, and publishes the health of all of them in `out`
/// after each round. Ends when `out` has no receiver any more.
pub async fn follow(
    checking: Probing,
    mut targets: watch::Receiver<Targets>,
    out: watch::Sender<Healths>,
) -> anyhow::Result<()> {
    raise_file_limit();
    let mut rounds = CheckRounds::new(checking)?;
    // After a late start of a round, servers still have the whole time to answer.
    let mut ticks = ticks_every(checking.interval);
    ticks.tick().await;
    while !out.is_closed() {
        let servers = targets.borrow_and_update().servers.clone();
        rounds.run_round(&servers, ticks.tick()).await;
        publish_healths(&out, rounds.prober.healths(), |subject| matches!(subject, Subject::Server(..)));
    }
    Ok(())
}

/// Raises the limit of file descriptors: each server that is asked takes a socket, and
/// there may be more than the 1024 that a process has by default.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If this fails, some servers may not be asked, which is logged.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

struct CheckRounds {
    prober: Prober,
    secret: u64,
    /// Why servers could not be asked in the last round.
    hindered: BTreeMap<Subject, String>,
}

impl CheckRounds {
    fn new(checking: Probing) -> anyhow::Result<Self> {
        let mut secret = [0; 8];
        rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())
            .context("no random number for checks")?;
        let secret = u64::from_ne_bytes(secret);
        Ok(Self { prober: Prober::new(checking.limits), secret, hindered: BTreeMap::new() })
    }

    /// Runs one round, which ends with `end`.
    async fn run_round(&mut self, servers: &BTreeMap<Subject, CheckQuestion>, end: impl Future) {
        self.prober.track(servers.keys().copied(), Instant::now());
        let (sequence, asked) = self.prober.open_round();
        let secret = self.secret;
        let questions = asked.filter_map(|subject| Some((subject, servers.get(&subject)?)));
        let mut answers: FuturesUnordered<_> = questions
            .map(|(subject, question)| async move {
                let start = Instant::now();
                (subject, ask::ask_server(question, secret, sequence).await, start.elapsed())
            })
            .collect();
        let mut hindered = BTreeMap::new();
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                Some((subject, outcome, took)) = answers.next() => {
                    self.record_outcome(subject, outcome, sequence, took, &mut hindered);
                }
                _ = &mut end => break,
            }
        }
        drop(answers);
        self.log_hindered(hindered);
        self.prober.close_round(Instant::now());
    }

    fn record_outcome(
        &mut self,
        subject: Subject,
        outcome: CheckOutcome,
        sequence: u64,
        took: Duration,
        hindered: &mut BTreeMap<Subject, String>,
    ) {
        match outcome {
            CheckOutcome::Passed => self.prober.record_answer(&subject, sequence, took),
            CheckOutcome::Failed(reason) => debug!(?subject, "a check failed: {reason}"),
            CheckOutcome::Unasked(reason) => {
                self.prober.skip_subject(&subject);
                hindered.insert(subject, reason);
            }
        }
    }

    /// Logs why servers could not be asked: each reason once, as long as it lasts.
    fn log_hindered(&mut self, hindered: BTreeMap<Subject, String>) {
        for (subject, reason) in &hindered {
            if self.hindered.get(subject) != Some(reason) {
                warn!("{subject} cannot be checked, and stays as it is: {reason}; trying on");
            }
        }
        self.hindered = hindered;
    }
}
