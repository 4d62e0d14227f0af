use proptest::prelude::*;

use super::*;

/// The API server's side: one Lease, and a version that each write changes.
#[derive(Default)]
struct Server {
    stored: Option<Stored>,
    version: u64,
}

impl Server {
    fn carry_out(&mut self, request: Request) -> Answer {
        match (request, &self.stored) {
            (Request::Read, Some(stored)) => Answer::Stored(stored.clone()),
            (Request::Create(record), None) => self.write(record),
            (Request::Replace(wanted), Some(stored)) if wanted.version == stored.version => {
                self.write(wanted.record)
            }
            (Request::Create(_) | Request::Replace(_), Some(_)) => Answer::Conflict,
            (Request::Read | Request::Replace(_), None) => Answer::Missing,
        }
    }

    fn write(&mut self, record: Record) -> Answer {
        self.version += 1;
        let stored = Stored { record, version: self.version.to_string() };
        self.stored = Some(stored.clone());
        Answer::Stored(stored)
    }
}

fn wall() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A whole attempt at one moment.
fn attempt(elector: &mut Elector, server: &mut Server, now: Instant) {
    let mut request = Some(elector.begin(now, wall()));
    while let Some(asked) = request {
        request = elector.handle(server.carry_out(asked), now, wall());
    }
}

fn leads(elector: &Elector, now: Instant) -> bool {
    elector.leads_until().is_some_and(|until| now < until)
}

fn elector(name: &str, now: Instant) -> Elector {
    Elector::new(name.to_owned(), Timing::USUAL, 7, now)
}

#[test]
fn the_first_one_leads_and_its_renewals_keep_the_others_out() {
    let (start, mut server) = (Instant::now(), Server::default());
    let (mut a, mut b) = (elector("a", start), elector("b", start));
    for second in 0..60 {
        let now = start + seconds(f64::from(second));
        attempt(&mut a, &mut server, now);
        attempt(&mut b, &mut server, now);
        assert!(leads(&a, now) && !leads(&b, now));
    }
    assert_eq!(b.holder(), Some("a"));
    let record = server.stored.map(|stored| stored.record);
    assert_eq!(record.map(|record| (record.transitions, record.duration)), Some((0, seconds(15.0))));
}

#[test]
fn a_leader_that_cannot_renew_stops_before_another_may_take_over() {
    let (start, mut server) = (Instant::now(), Server::default());
    let (mut a, mut b) = (elector("a", start), elector("b", start));
    attempt(&mut a, &mut server, start);
    attempt(&mut b, &mut server, start);
    let mut taken = None;
    for tenth in 1..300 {
        let now = start + seconds(f64::from(tenth) / 10.0);
        assert_eq!(leads(&a, now), now < start + seconds(10.0));
        if now >= b.due() {
            attempt(&mut b, &mut server, now);
            taken = taken.or(leads(&b, now).then_some(now - start));
        }
    }
    assert_eq!(taken, Some(seconds(15.0)));
    let record = server.stored.map(|stored| stored.record);
    assert_eq!(record.map(|record| (record.holder, record.transitions)), Some((Some("b".to_owned()), 1)));
    // It is told by its next renewal, and is a candidate as any other.
    let mut server = Server { stored: b.seen.clone().map(|(stored, _)| stored), version: 9 };
    attempt(&mut a, &mut server, start + seconds(30.0));
    assert_eq!(a.holder(), Some("b"));
}

#[test]
fn what_is_given_back_is_taken_at_the_next_attempt() {
    let (start, mut server) = (Instant::now(), Server::default());
    let (mut a, mut b) = (elector("a", start), elector("b", start));
    attempt(&mut a, &mut server, start);
    attempt(&mut b, &mut server, start);
    let now = start + seconds(1.0);
    a.leave(now);
    assert!(!leads(&a, now) && a.due() == now);
    attempt(&mut a, &mut server, now);
    let next = b.due();
    assert!(next - start <= seconds(2.5), "{:?}", next - start);
    attempt(&mut b, &mut server, next);
    assert!(leads(&b, next));
    let record = server.stored.clone().map(|stored| stored.record);
    assert_eq!(record.map(|record| record.transitions), Some(1));
    // It gives back nothing that is another's.
    attempt(&mut a, &mut server, now + seconds(9.0));
    assert_eq!(server.stored.and_then(|stored| stored.record.holder), Some("b".to_owned()));
}

#[test]
fn a_renewal_that_seemed_to_fail_does_not_lose_the_lease() {
    let (start, mut server) = (Instant::now(), Server::default());
    let mut a = elector("a", start);
    attempt(&mut a, &mut server, start);
    let now = a.due();
    let request = a.begin(now, wall());
    server.carry_out(request);
    assert_eq!(a.handle(Answer::Failed, now, wall()), None);
    let later = a.due();
    attempt(&mut a, &mut server, later);
    assert_eq!(a.leads_until(), Some(later + seconds(10.0)));
}

#[test]
fn a_lease_that_somebody_deletes_is_made_anew_by_its_leader() {
    let (start, mut server) = (Instant::now(), Server::default());
    let (mut a, mut b) = (elector("a", start), elector("b", start));
    attempt(&mut a, &mut server, start);
    attempt(&mut b, &mut server, start);
    server.stored = None;
    let now = start + seconds(3.0);
    attempt(&mut b, &mut server, now);
    assert!(!leads(&b, now), "a leads for seven seconds yet");
    attempt(&mut a, &mut server, now);
    assert_eq!(a.leads_until(), Some(now + seconds(10.0)));
}

/// What happens to the candidates and to what they send.
#[derive(Clone, Debug)]
enum Step {
    /// Tenths of a second pass.
    Wait(u8),
    /// If it is due, this one begins an attempt; if it is in one, it does not do anything.
    Begin(usize),
    /// Of what it has sent, the newest or the oldest reaches the server, and is carried out.
    Arrive(usize, bool),
    /// The answer gets back, or gets lost on the way.
    Answer(usize, bool),
    /// It gives up waiting. What it has sent may arrive yet.
    GiveUp(usize),
    /// It is killed, and starts again at once, under another name.
    Restart(usize),
    /// It gives the Lease back, and starts again.
    Leave(usize),
}

const CANDIDATES: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let who = 0..CANDIDATES;
    prop_oneof![
        6 => (1..30_u8).prop_map(Step::Wait),
        6 => who.clone().prop_map(Step::Begin),
        6 => (who.clone(), prop::bool::weighted(0.7)).prop_map(|(who, is_newest)| Step::Arrive(who, is_newest)),
        6 => (who.clone(), prop::bool::weighted(0.8)).prop_map(|(who, arrives)| Step::Answer(who, arrives)),
        1 => who.clone().prop_map(Step::GiveUp),
        1 => who.clone().prop_map(Step::Restart),
        1 => who.prop_map(Step::Leave),
    ]
}

/// A candidate with its clock, and the network between it and the server.
struct Candidate {
    elector: Elector,
    /// How fast its clock runs.
    pace: f64,
    /// Sent, and not there yet; the last one is what the elector waits for.
    on_the_way: Vec<Request>,
    /// The last one sent is on the way yet.
    is_awaited: bool,
    answer: Option<Answer>,
    waits: bool,
}

impl Candidate {
    fn new(number: usize, pace: f64, epoch: Instant, time: Duration) -> Self {
        let elector = elector(&format!("candidate {number}"), epoch + time.mul_f64(pace));
        Self { elector, pace, on_the_way: Vec::new(), is_awaited: false, answer: None, waits: false }
    }

    fn now(&self, epoch: Instant, time: Duration) -> Instant {
        epoch + time.mul_f64(self.pace)
    }

    fn send(&mut self, request: Request) {
        self.on_the_way.push(request);
        (self.waits, self.is_awaited, self.answer) = (true, true, None);
    }

    fn take(&mut self, answer: Answer, now: Instant) {
        (self.waits, self.is_awaited) = (false, false);
        if let Some(request) = self.elector.handle(answer, now, wall()) {
            self.send(request);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Requests and answers take as long as they like, get lost, or arrive when nobody waits any more, and clocks
    /// run a tenth too fast or too slow.
    #[test]
    fn there_are_never_two_leaders(
        steps in prop::collection::vec(step(), 1..400),
        paces in prop::array::uniform3(0.9..1.1_f64),
    ) {
        let (epoch, mut time) = (Instant::now(), Duration::ZERO);
        let (mut server, mut names) = (Server::default(), CANDIDATES);
        let mut all: Vec<_> =
            paces.iter().enumerate().map(|(number, pace)| Candidate::new(number, *pace, epoch, time)).collect();
        for step in steps {
            match step {
                Step::Wait(tenths) => time += Duration::from_millis(100) * u32::from(tenths),
                Step::Begin(who) => {
                    let now = all[who].now(epoch, time);
                    if !all[who].waits && now >= all[who].elector.due() {
                        let request = all[who].elector.begin(now, wall());
                        all[who].send(request);
                    }
                }
                Step::Arrive(who, is_newest) => {
                    let one = &mut all[who];
                    let number = if is_newest { one.on_the_way.len().saturating_sub(1) } else { 0 };
                    if number < one.on_the_way.len() {
                        // An answer to what was given up is for nobody.
                        let is_awaited = one.is_awaited && number + 1 == one.on_the_way.len();
                        let answer = server.carry_out(one.on_the_way.remove(number));
                        if is_awaited {
                            (one.answer, one.is_awaited) = (Some(answer), false);
                        }
                    }
                }
                Step::Answer(who, arrives) => {
                    let now = all[who].now(epoch, time);
                    if let Some(answer) = all[who].answer.take().filter(|_| all[who].waits) {
                        all[who].take(if arrives { answer } else { Answer::Failed }, now);
                    }
                }
                Step::GiveUp(who) => {
                    let now = all[who].now(epoch, time);
                    if all[who].waits {
                        all[who].take(Answer::Failed, now);
                    }
                }
                Step::Restart(who) => {
                    let late = std::mem::take(&mut all[who].on_the_way);
                    all[who] = Candidate::new(names, all[who].pace, epoch, time);
                    all[who].on_the_way = late;
                    names += 1;
                }
                Step::Leave(who) => {
                    let now = all[who].now(epoch, time);
                    all[who].elector.leave(now);
                    (all[who].waits, all[who].is_awaited) = (false, false);
                }
            }
            let leaders: Vec<_> =
                all.iter().filter(|one| leads(&one.elector, one.now(epoch, time))).map(|one| one.elector.identity()).collect();
            prop_assert!(leaders.len() <= 1, "at {time:?}: {leaders:?}");
        }
    }
}
