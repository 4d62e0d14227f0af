//! Leader election by a Lease, as client-go's `leaderelection` does it. Nothing here asks the API server or a clock.
//!
//! The times in the record are for people. A candidate takes the Lease when it has not seen the record change for as
//! long as the holder said, by its own clock. A leader counts from when it *sent* its last renewal that succeeded, and
//! stops acting earlier than that: so no clocks have to agree, only to run at about the same pace.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;

use crate::hash::Random;

/// How long things take. The same for all candidates, though only the holder's `lease` matters to the others.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// After this long without a change, others take the Lease. Whole seconds.
    pub lease: Duration,
    /// For how long a leader acts after its last renewal. Shorter than `lease`.
    pub renew_deadline: Duration,
    /// From one attempt to the next; up to a quarter is added at random.
    pub retry: Duration,
}

impl Timing {
    /// client-go's, which the components of Kubernetes have.
    pub const USUAL: Self = Self {
        lease: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry: Duration::from_secs(2),
    };
}

/// The specification of the Lease.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// None: it is nobody's.
    pub holder: Option<String>,
    pub duration: Duration,
    pub acquired: Option<Timestamp>,
    pub renewed: Option<Timestamp>,
    /// How often it went from one holder to another.
    pub transitions: i32,
}

/// A record as the API server has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    pub record: Record,
    /// `metadata.resourceVersion`
    pub version: String,
}

/// What to ask the API server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    Read,
    Create(Record),
    /// If it still has this version.
    Replace(Stored),
}

/// What became of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// What is there: after a `Create` or a `Replace`, what was written.
    Stored(Stored),
    Missing,
    /// Somebody else was first.
    Conflict,
    /// None, or an error. It may have been carried out all the same.
    Failed,
}

/// A candidate.
#[derive(Debug)]
pub struct Elector {
    identity: String,
    timing: Timing,
    random: Random,
    /// The last record that was seen, and when it was first.
    seen: Option<(Stored, Instant)>,
    leads_until: Option<Instant>,
    next_attempt: Instant,
    attempt: Option<Attempt>,
    is_leaving: bool,
}

/// A request that is under way.
#[derive(Debug)]
struct Attempt {
    request: Request,
    sent: Instant,
    /// Nothing has been read before it.
    is_first: bool,
}

impl Elector {
    /// `identity`: unlike that of any other candidate. `seed`: for the random part of delays.
    pub fn new(identity: String, timing: Timing, seed: u64, now: Instant) -> Self {
        Self {
            identity,
            timing,
            random: Random::new(seed),
            seen: None,
            leads_until: None,
            next_attempt: now,
            attempt: None,
            is_leaving: false,
        }
    }

    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Until when it may act; renewals extend that. None, or past: it does not lead.
    pub fn leads_until(&self) -> Option<Instant> {
        self.leads_until
    }

    /// Who holds the Lease, as far as is known.
    pub fn holder(&self) -> Option<&str> {
        self.seen.as_ref()?.0.record.holder.as_deref()
    }

    /// When to begin the next attempt.
    pub fn due(&self) -> Instant {
        self.next_attempt
    }

    /// Begins an attempt to get or to renew the Lease. `wall`: what stands in the record.
    pub fn begin(&mut self, now: Instant, wall: Timestamp) -> Request {
        let request = match &self.seen {
            // It is most likely as we left it.
            Some((stored, _)) if self.is_mine(stored) && !self.is_leaving => {
                Request::Replace(self.renewal(stored, wall))
            }
            _ => Request::Read,
        };
        self.attempt = Some(Attempt { request: request.clone(), sent: now, is_first: true });
        request
    }

    /// It never leads again, and its next attempt gives the Lease back, if it holds it.
    pub fn leave(&mut self, now: Instant) {
        self.is_leaving = true;
        self.leads_until = None;
        self.attempt = None;
        self.next_attempt = now;
    }

    /// Takes the answer to the last request. Returns what to ask next; None: the attempt is over.
    pub fn handle(&mut self, answer: Answer, now: Instant, wall: Timestamp) -> Option<Request> {
        let Attempt { request, sent, is_first } = self.attempt.take()?;
        let next = match (request, answer) {
            (Request::Read, Answer::Stored(stored)) => {
                self.note_seen(stored.clone(), now);
                if !self.is_mine(&stored) {
                    self.leads_until = None;
                }
                self.claim(&stored, now, wall).map(Request::Replace)
            }
            (Request::Read, Answer::Missing) => {
                self.may_create(now).then(|| Request::Create(self.claimed(wall)))
            }
            (_, Answer::Stored(stored)) => {
                let is_mine = self.is_mine(&stored);
                self.note_seen(stored, now);
                self.leads_until = (is_mine && !self.is_leaving).then(|| sent + self.timing.renew_deadline);
                None
            }
            // Whoever was first: it may have been we ourselves, with a request that seemed to fail.
            (Request::Replace(_), Answer::Conflict | Answer::Missing) if is_first || self.is_leaving => {
                Some(Request::Read)
            }
            _ => None,
        };
        match &next {
            Some(request) => {
                self.attempt = Some(Attempt { request: request.clone(), sent: now, is_first: false });
            }
            None => self.schedule(now),
        }
        next
    }

    /// What to write in place of `stored`, if that may be taken, is ours, or is to be given back.
    fn claim(&self, stored: &Stored, now: Instant, wall: Timestamp) -> Option<Stored> {
        let is_mine = self.is_mine(stored);
        if self.is_leaving {
            return is_mine.then(|| self.released(stored, wall));
        }
        if is_mine {
            return Some(self.renewal(stored, wall));
        }
        let is_free = stored.record.holder.is_none() || self.expiry().is_none_or(|expiry| now >= expiry);
        is_free.then(|| {
            let transitions = stored.record.transitions.saturating_add(1);
            Stored { record: Record { transitions, ..self.claimed(wall) }, version: stored.version.clone() }
        })
    }

    fn claimed(&self, wall: Timestamp) -> Record {
        Record {
            holder: Some(self.identity.clone()),
            duration: self.timing.lease,
            acquired: Some(wall),
            renewed: Some(wall),
            transitions: 0,
        }
    }

    fn renewal(&self, stored: &Stored, wall: Timestamp) -> Stored {
        let Record { acquired, transitions, .. } = stored.record;
        Stored {
            record: Record { acquired, transitions, ..self.claimed(wall) },
            version: stored.version.clone(),
        }
    }

    /// Nobody's, and out of date at once, should somebody look at that alone.
    fn released(&self, stored: &Stored, wall: Timestamp) -> Stored {
        let renewal = self.renewal(stored, wall);
        Stored {
            record: Record { holder: None, duration: Duration::from_secs(1), ..renewal.record },
            ..renewal
        }
    }

    fn is_mine(&self, stored: &Stored) -> bool {
        stored.record.holder.as_deref() == Some(&self.identity)
    }

    fn note_seen(&mut self, stored: Stored, now: Instant) {
        if self.seen.as_ref().is_none_or(|(before, _)| *before != stored) {
            self.seen = Some((stored, now));
        }
    }

    /// When what was seen last runs out, by our own clock.
    fn expiry(&self) -> Option<Instant> {
        self.seen.as_ref().map(|(stored, since)| *since + stored.record.duration)
    }

    /// Somebody may have deleted a Lease that has a leader, who learns of it by its next renewal only.
    fn may_create(&self, now: Instant) -> bool {
        let is_mine = self.seen.as_ref().is_some_and(|(stored, _)| self.is_mine(stored));
        !self.is_leaving && (is_mine || self.expiry().is_none_or(|expiry| now >= expiry))
    }

    /// Not all candidates at once; but when the Lease of another runs out, there is no need to wait for longer.
    fn schedule(&mut self, now: Instant) {
        let spread = u64::try_from(self.timing.retry.as_millis() / 4).unwrap_or(u64::MAX).max(1);
        let retry = now + self.timing.retry + Duration::from_millis(self.random.below(spread));
        let is_mine = self.seen.as_ref().is_some_and(|(stored, _)| self.is_mine(stored));
        let expiry = self.expiry().filter(|expiry| !is_mine && *expiry > now);
        self.next_attempt = expiry.map_or(retry, |expiry| expiry.min(retry));
    }
}
