use super::*;

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn vip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn ballot(nodes: &[&str]) -> Arc<Ballot> {
    Arc::new(nodes.iter().map(|node| Arc::from(*node)).collect::<BTreeSet<_>>().into())
}

/// Both are candidates for these.
fn both(numbers: &[u8]) -> BTreeMap<IpAddr, Arc<Ballot>> {
    numbers.iter().map(|number| (vip(*number), ballot(&["a", "b"]))).collect()
}

fn peers(now: Instant) -> OtherAgents {
    let mut peers = OtherAgents::new("a".into(), 1);
    peers.set_nodes(&["a", "b"].map(Arc::from), now);
    peers.set_ready(both(&[1]), false, now);
    peers
}

fn is_clear(peers: &OtherAgents) -> bool {
    peers.is_known_by_all(&vip(1), &ballot(&["a", "b"]))
}

/// From "b", which knows us and all that we say.
fn hello(peers: &OtherAgents, sequence: u64, opinion: Opinion) -> Hello {
    Hello {
        node: "b".into(),
        incarnation: 7,
        sequence,
        is_leaving: false,
        alive_count: 0,
        opinion,
        your_incarnation: 1,
        known: peers.ours.version(),
        version: 0,
        update: Default::default(),
    }
}

fn said(peers: &mut OtherAgents, now: Instant) -> Option<Hello> {
    peers.poll(now).pop().map(|(to, hello)| {
        assert_eq!(&*to, "b");
        hello
    })
}

fn opinion(peers: &OtherAgents) -> Opinion {
    peers.peers["b"].our_opinion()
}

/// Hears "b" every 100 ms, for that long.
fn hear_for(peers: &mut OtherAgents, now: &mut Instant, time: Duration, opinion: Opinion) {
    let end = *now + time;
    while *now < end {
        *now += ms(100);
        let sequence = peers.peers["b"].sequence + 1;
        peers.hear(&hello(peers, sequence, opinion), *now);
        peers.poll(*now);
    }
}

#[test]
fn an_unheard_agent_counts_as_lost_only_after_a_while() {
    let now = Instant::now();
    let mut peers = peers(now);
    assert_eq!(said(&mut peers, now).unwrap().opinion, Opinion::Unknown);
    assert!(!is_clear(&peers));
    peers.poll(now + ms(999));
    assert!(!is_clear(&peers));
    let now = now + ms(1000);
    assert_eq!(said(&mut peers, now).unwrap().opinion, Opinion::Unknown);
    assert!(is_clear(&peers));
    peers.set_announced(&[vip(1)].into(), now);
    assert_eq!(said(&mut peers, now).unwrap().opinion, Opinion::Lost, "we have what it may have");
}

#[test]
fn after_our_own_deafness_lost_agents_are_waited_for_anew() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    now += ms(1000);
    peers.poll(now);
    assert!(is_clear(&peers));
    peers.listen_anew(now);
    peers.poll(now + ms(999));
    assert!(!is_clear(&peers));
    peers.poll(now + ms(1000));
    assert!(is_clear(&peers));
}

#[test]
fn opinions_follow_what_is_heard() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_for(&mut peers, &mut now, ms(500), Opinion::Unknown);
    assert_eq!(opinion(&peers), Opinion::Unknown);
    hear_for(&mut peers, &mut now, ms(100), Opinion::Unknown);
    assert_eq!(opinion(&peers), Opinion::Heard);
    assert!(!is_clear(&peers) && !peers.is_alive("b"));
    hear_for(&mut peers, &mut now, ms(100), Opinion::Heard);
    assert_eq!(opinion(&peers), Opinion::Alive);
    assert!(!is_clear(&peers), "it has not let go yet");
    hear_for(&mut peers, &mut now, ms(100), Opinion::Alive);
    assert!(is_clear(&peers) && peers.is_alive("b"));
    peers.poll(now + ms(349));
    assert_eq!(opinion(&peers), Opinion::Alive);
    peers.set_announced(&[vip(1)].into(), now);
    now += ms(350);
    peers.poll(now);
    peers.set_announced(&[vip(1)].into(), now);
    assert_eq!(opinion(&peers), Opinion::Lost);
    hear_for(&mut peers, &mut now, ms(400), Opinion::Unknown);
    assert_eq!(opinion(&peers), Opinion::Lost, "it is told so until it is taken back");
    hear_for(&mut peers, &mut now, ms(200), Opinion::Unknown);
    assert_eq!(opinion(&peers), Opinion::Heard);
}

#[test]
fn an_agent_that_restarts_has_to_rise_anew() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    assert!(is_clear(&peers));
    let again = Hello { incarnation: 8, your_incarnation: 0, ..hello(&peers, 1, Opinion::Unknown) };
    peers.hear(&again, now);
    assert_eq!(opinion(&peers), Opinion::Unknown);
    assert!(!is_clear(&peers) && !peers.is_alive("b"));
}

#[test]
fn an_agent_that_was_lost_lets_go_of_what_others_may_have_taken_over() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    let mut ready = both(&[1]);
    ready.insert(vip(2), ballot(&["a", "c"]));
    peers.set_ready(ready, false, now);
    hear_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    assert!(peers.is_ready_here(&vip(1)));
    hear_for(&mut peers, &mut now, ms(100), Opinion::Lost);
    assert!(!peers.is_ready_here(&vip(1)));
    assert!(peers.is_ready_here(&vip(2)), "it is no candidate for that");
    let known = peers.ours.version();
    hear_for(&mut peers, &mut now, ms(100), Opinion::Alive);
    assert!(peers.is_ready_here(&vip(1)));
    let stale = Hello { known, ..hello(&peers, peers.peers["b"].sequence + 1, Opinion::Alive) };
    peers.hear(&stale, now);
    assert!(!is_clear(&peers), "that was said of the time before");
}

/// An agent that hears again of "b", which has announced the same all the time.
fn reunited(me: &str, alive_count: u8, now: &mut Instant) -> OtherAgents {
    let mut peers = OtherAgents::new(me.into(), 1);
    peers.set_nodes(&[me, "b"].map(Arc::from), *now);
    peers.set_ready([(vip(1), ballot(&[me, "b"]))].into(), false, *now);
    *now += ms(1000);
    peers.poll(*now);
    peers.set_announced(&[vip(1)].into(), *now);
    peers.hear(&Hello { alive_count, ..hello(&peers, 1, Opinion::Lost) }, *now);
    peers
}

#[test]
fn if_each_has_lost_the_other_the_one_that_counts_fewer_as_alive_lets_go() {
    // Of those with equally much, the last by name keeps what it has.
    for (me, alive_count, keeps) in [("a", 0, false), ("c", 0, true), ("c", 1, false)] {
        let mut now = Instant::now();
        let mut peers = reunited(me, alive_count, &mut now);
        assert_eq!(peers.is_ready_here(&vip(1)), keeps, "{me} {alive_count}");
        // It does not hear us after all.
        hear_for(&mut peers, &mut now, ms(600), Opinion::Lost);
        assert!(!peers.is_ready_here(&vip(1)), "{me} {alive_count}");
    }
}

#[test]
fn when_a_rival_has_let_go_the_vips_are_announced_anew() {
    let mut now = Instant::now();
    let mut peers = reunited("c", 0, &mut now);
    assert!(!peers.take_victory());
    peers.hear(&hello(&peers, 2, Opinion::Unknown), now);
    assert!(peers.take_victory() && !peers.take_victory());
}

#[test]
fn agents_that_are_ready_by_another_ballot_or_are_not_heard_cause_doubt() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    let ours = ballot(&["a"]).id();
    let (b, c) = (Arc::from("b"), Arc::from("c"));
    let doubt =
        |peers: &OtherAgents, former: &[&Arc<str>]| peers.doubt(&vip(1), ours, former.iter().copied());
    assert_eq!(doubt(&peers, &[&b]), None);
    let unheard = doubt(&peers, &[&b, &c]);
    assert!(unheard.is_some());
    let say = |peers: &mut OtherAgents, ballot: &Ballot, version| {
        let update =
            ReadinessUpdate { from: version - 1, to: version, entries: vec![(vip(1), Some(ballot.id()))] };
        let sequence = peers.peers["b"].sequence + 1;
        peers.hear(&Hello { version, update, ..hello(peers, sequence, Opinion::Alive) }, now);
        doubt(peers, &[])
    };
    assert_eq!(say(&mut peers, &ballot(&["a"]), 1), None);
    let one = say(&mut peers, &ballot(&["a", "b"]), 2);
    let other = say(&mut peers, &ballot(&["b"]), 3);
    assert!(one.is_some() && other.is_some() && one != other && one != unheard);
}

#[test]
fn hellos_that_were_overtaken_or_are_for_another_incarnation_do_not_count() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    peers.hear(&hello(&peers, 3, Opinion::Lost), now);
    peers.hear(&Hello { incarnation: 6, ..hello(&peers, 1000, Opinion::Lost) }, now);
    assert!(is_clear(&peers));
    let other = Hello { your_incarnation: 9, ..hello(&peers, 1000, Opinion::Alive) };
    peers.hear(&other, now);
    assert!(!is_clear(&peers), "it means an earlier us");
    peers.hear(&Hello { node: "c".into(), ..hello(&peers, 1, Opinion::Lost) }, now);
    assert!(!peers.peers.contains_key("c"));
}

/// Else it would not be heard until its clock has caught up.
#[test]
fn a_clock_that_was_set_back_delays_nobody() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    now += ms(400);
    peers.poll(now);
    peers.hear(&Hello { incarnation: 2, ..hello(&peers, 1, Opinion::Unknown) }, now);
    assert_eq!(peers.peers["b"].incarnation, 2);
}

/// Else the other, who may have listened all the time, would take us for overtaken.
#[test]
fn an_agent_that_was_left_out_for_a_while_gets_no_older_sequence() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    now += ms(100);
    let before = said(&mut peers, now).unwrap();
    peers.set_nodes(&["a"].map(Arc::from), now);
    peers.set_nodes(&["a", "b"].map(Arc::from), now);
    assert!(said(&mut peers, now).unwrap().sequence > before.sequence);
}

#[test]
fn changes_are_sent_at_once_and_only_once() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    now += ms(1);
    assert_eq!(said(&mut peers, now), None);
    peers.set_ready(both(&[1, 2]), false, now);
    assert_eq!(said(&mut peers, now).unwrap().update.entries, [(vip(2), Some(ballot(&["a", "b"]).id()))]);
    assert_eq!(said(&mut peers, now), None);
    peers.set_ready(both(&[1, 2]), true, now);
    let leaving = said(&mut peers, now).unwrap();
    assert!(leaving.is_leaving && leaving.update.entries == [(vip(1), None), (vip(2), None)]);
}
