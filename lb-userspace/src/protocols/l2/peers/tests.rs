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
fn vips_of_both(numbers: &[u8]) -> BTreeMap<IpAddr, Arc<Ballot>> {
    numbers.iter().map(|number| (vip(*number), ballot(&["a", "b"]))).collect()
}

fn peers(now: Instant) -> OtherAgents {
    let mut peers = OtherAgents::new("a".into(), 1);
    peers.set_nodes(&["a", "b"].map(Arc::from), now);
    peers.set_ready(vips_of_both(&[1]), false, now);
    peers
}

fn can_announce(peers: &OtherAgents) -> bool {
    peers.is_known_by_all(&vip(1), &ballot(&["a", "b"]))
}

/// From "b", which knows us and all that we say.
fn hello_from_b(peers: &OtherAgents, sequence: u64, opinion: Opinion) -> Hello {
    Hello {
        node: "b".into(),
        incarnation: 7,
        sequence,
        is_leaving: false,
        alive_count: 0,
        opinion,
        your_incarnation: 1,
        known: peers.own_readiness.version(),
        version: 0,
        update: Default::default(),
    }
}

fn next_hello(peers: &mut OtherAgents, now: Instant) -> Option<Hello> {
    peers.poll(now).pop().map(|(to, hello)| {
        assert_eq!(&*to, "b");
        hello
    })
}

fn opinion_of_b(peers: &OtherAgents) -> Opinion {
    peers.peers["b"].our_opinion()
}

/// Hears "b" every 100 ms, for that long.
fn hear_b_for(peers: &mut OtherAgents, now: &mut Instant, time: Duration, opinion: Opinion) {
    let end = *now + time;
    while *now < end {
        *now += ms(100);
        let sequence = peers.peers["b"].sequence + 1;
        peers.process_hello(&hello_from_b(peers, sequence, opinion), *now);
        peers.poll(*now);
    }
}

#[test]
fn an_unheard_agent_counts_as_lost_only_after_a_while() {
    let now = Instant::now();
    let mut peers = peers(now);
    assert_eq!(next_hello(&mut peers, now).unwrap().opinion, Opinion::Unknown);
    assert!(!can_announce(&peers));
    peers.poll(now + ms(999));
    assert!(!can_announce(&peers));
    let now = now + ms(1000);
    assert_eq!(next_hello(&mut peers, now).unwrap().opinion, Opinion::Unknown);
    assert!(can_announce(&peers));
    peers.set_announced(&[vip(1)].into(), now);
    assert_eq!(next_hello(&mut peers, now).unwrap().opinion, Opinion::Lost, "we have what it may have");
}

#[test]
fn after_our_own_deafness_lost_agents_are_waited_for_anew() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_b_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    now += ms(1000);
    peers.poll(now);
    assert!(can_announce(&peers));
    peers.reset_lost_agents(now);
    peers.poll(now + ms(999));
    assert!(!can_announce(&peers));
    peers.poll(now + ms(1000));
    assert!(can_announce(&peers));
}

#[test]
fn opinions_follow_what_is_heard() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_b_for(&mut peers, &mut now, ms(500), Opinion::Unknown);
    assert_eq!(opinion_of_b(&peers), Opinion::Unknown);
    hear_b_for(&mut peers, &mut now, ms(100), Opinion::Unknown);
    assert_eq!(opinion_of_b(&peers), Opinion::Heard);
    assert!(!can_announce(&peers) && !peers.is_alive("b"));
    hear_b_for(&mut peers, &mut now, ms(100), Opinion::Heard);
    assert_eq!(opinion_of_b(&peers), Opinion::Alive);
    assert!(!can_announce(&peers), "it has not let go yet");
    hear_b_for(&mut peers, &mut now, ms(100), Opinion::Alive);
    assert!(can_announce(&peers) && peers.is_alive("b"));
    peers.poll(now + ms(349));
    assert_eq!(opinion_of_b(&peers), Opinion::Alive);
    peers.set_announced(&[vip(1)].into(), now);
    now += ms(350);
    peers.poll(now);
    peers.set_announced(&[vip(1)].into(), now);
    assert_eq!(opinion_of_b(&peers), Opinion::Lost);
    hear_b_for(&mut peers, &mut now, ms(400), Opinion::Unknown);
    assert_eq!(opinion_of_b(&peers), Opinion::Lost, "it is told so until it is taken back");
    hear_b_for(&mut peers, &mut now, ms(200), Opinion::Unknown);
    assert_eq!(opinion_of_b(&peers), Opinion::Heard);
}

#[test]
fn an_agent_that_restarts_has_to_rise_anew() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_b_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    assert!(can_announce(&peers));
    let again = Hello { incarnation: 8, your_incarnation: 0, ..hello_from_b(&peers, 1, Opinion::Unknown) };
    peers.process_hello(&again, now);
    assert_eq!(opinion_of_b(&peers), Opinion::Unknown);
    assert!(!can_announce(&peers) && !peers.is_alive("b"));
}

#[test]
fn an_agent_that_was_lost_lets_go_of_what_others_may_have_taken_over() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    let mut ready = vips_of_both(&[1]);
    ready.insert(vip(2), ballot(&["a", "c"]));
    peers.set_ready(ready, false, now);
    hear_b_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    assert!(peers.is_ready_here(&vip(1)));
    hear_b_for(&mut peers, &mut now, ms(100), Opinion::Lost);
    assert!(!peers.is_ready_here(&vip(1)));
    assert!(peers.is_ready_here(&vip(2)), "it is no candidate for that");
    let known = peers.own_readiness.version();
    hear_b_for(&mut peers, &mut now, ms(100), Opinion::Alive);
    assert!(peers.is_ready_here(&vip(1)));
    let stale = Hello { known, ..hello_from_b(&peers, peers.peers["b"].sequence + 1, Opinion::Alive) };
    peers.process_hello(&stale, now);
    assert!(!can_announce(&peers), "that was said of the time before");
}

/// An agent that hears again of "b", which has announced the same all the time.
fn reunited_agents(me: &str, alive_count: u8, now: &mut Instant) -> OtherAgents {
    let mut peers = OtherAgents::new(me.into(), 1);
    peers.set_nodes(&[me, "b"].map(Arc::from), *now);
    peers.set_ready([(vip(1), ballot(&[me, "b"]))].into(), false, *now);
    *now += ms(1000);
    peers.poll(*now);
    peers.set_announced(&[vip(1)].into(), *now);
    peers.process_hello(&Hello { alive_count, ..hello_from_b(&peers, 1, Opinion::Lost) }, *now);
    peers
}

#[test]
fn if_each_has_lost_the_other_the_one_that_counts_fewer_as_alive_lets_go() {
    // Of those with equally much, the last by name keeps what it has.
    for (me, alive_count, keeps) in [("a", 0, false), ("c", 0, true), ("c", 1, false)] {
        let mut now = Instant::now();
        let mut peers = reunited_agents(me, alive_count, &mut now);
        assert_eq!(peers.is_ready_here(&vip(1)), keeps, "{me} {alive_count}");
        // It does not hear us after all.
        hear_b_for(&mut peers, &mut now, ms(600), Opinion::Lost);
        assert!(!peers.is_ready_here(&vip(1)), "{me} {alive_count}");
    }
}

#[test]
fn when_a_rival_has_let_go_the_vips_are_announced_anew() {
    let mut now = Instant::now();
    let mut peers = reunited_agents("c", 0, &mut now);
    assert!(!peers.take_rival_yielded());
    peers.process_hello(&hello_from_b(&peers, 2, Opinion::Unknown), now);
    assert!(peers.take_rival_yielded() && !peers.take_rival_yielded());
}

#[test]
fn agents_that_are_ready_by_another_ballot_or_are_not_heard_cause_doubt() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_b_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    let ours = ballot(&["a"]).id();
    let doubt = |peers: &OtherAgents, former: &[&Ballot]| peers.find_doubt(&vip(1), ours, former);
    assert_eq!(doubt(&peers, &[&ballot(&["b"])]), None);
    let unheard = doubt(&peers, &[&ballot(&["b"]), &ballot(&["c"])]);
    assert!(unheard.is_some());
    let say = |peers: &mut OtherAgents, ballot: &Ballot, version| {
        let update =
            ReadinessUpdate { from: version - 1, to: version, entries: vec![(vip(1), Some(ballot.id()))] };
        let sequence = peers.peers["b"].sequence + 1;
        peers.process_hello(&Hello { version, update, ..hello_from_b(peers, sequence, Opinion::Alive) }, now);
        doubt(peers, &[])
    };
    assert_eq!(say(&mut peers, &ballot(&["a"]), 1), None);
    let one = say(&mut peers, &ballot(&["a", "b"]), 2);
    let other = say(&mut peers, &ballot(&["b"]), 3);
    assert!(one.is_some() && other.is_some() && one != other && one != unheard);
}

/// It may begin by another ballot at the same moment.
#[test]
fn after_a_change_an_agent_that_does_not_know_that_we_are_ready_causes_doubt() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_b_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    let ours = ballot(&["a"]);
    let before = hello_from_b(&peers, peers.peers["b"].sequence + 1, Opinion::Alive);
    peers.set_ready([(vip(1), ours.clone())].into(), false, now);
    let mut hear = |hello: Hello| {
        peers.process_hello(&hello, now);
        let doubt = |former: &[&Ballot]| peers.find_doubt(&vip(1), ours.id(), former).is_some();
        (doubt(&[&Ballot::default()]), doubt(&[]))
    };
    let known = before.known + 1;
    assert_eq!(hear(before.clone()), (true, false));
    assert_eq!(hear(Hello { sequence: before.sequence + 1, known, ..before.clone() }), (false, false));
    // It hears nothing of us.
    let lost = Hello { sequence: before.sequence + 2, opinion: Opinion::Lost, ..before };
    assert_eq!(hear(lost), (false, false));
}

#[test]
fn hellos_that_were_overtaken_or_are_for_another_incarnation_do_not_count() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_b_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    peers.process_hello(&hello_from_b(&peers, 3, Opinion::Lost), now);
    peers.process_hello(&Hello { incarnation: 6, ..hello_from_b(&peers, 1000, Opinion::Lost) }, now);
    assert!(can_announce(&peers));
    let other = Hello { your_incarnation: 9, ..hello_from_b(&peers, 1000, Opinion::Alive) };
    peers.process_hello(&other, now);
    assert!(!can_announce(&peers), "it means an earlier us");
    peers.process_hello(&Hello { node: "c".into(), ..hello_from_b(&peers, 1, Opinion::Lost) }, now);
    assert!(!peers.peers.contains_key("c"));
}

/// Otherwise the agent would not be heard until its clock has caught up.
#[test]
fn a_clock_that_was_set_back_delays_nobody() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_b_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    now += ms(400);
    peers.poll(now);
    peers.process_hello(&Hello { incarnation: 2, ..hello_from_b(&peers, 1, Opinion::Unknown) }, now);
    assert_eq!(peers.peers["b"].incarnation, 2);
}

/// Otherwise that agent, which may have listened all the time, would discard our hellos as old.
#[test]
fn an_agent_that_was_left_out_for_a_while_gets_no_older_sequence() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_b_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    now += ms(100);
    let before = next_hello(&mut peers, now).unwrap();
    peers.set_nodes(&["a"].map(Arc::from), now);
    peers.set_nodes(&["a", "b"].map(Arc::from), now);
    assert!(next_hello(&mut peers, now).unwrap().sequence > before.sequence);
}

#[test]
fn changes_are_sent_at_once_and_only_once() {
    let mut now = Instant::now();
    let mut peers = peers(now);
    hear_b_for(&mut peers, &mut now, ms(1000), Opinion::Alive);
    now += ms(1);
    assert_eq!(next_hello(&mut peers, now), None);
    peers.set_ready(vips_of_both(&[1, 2]), false, now);
    assert_eq!(
        next_hello(&mut peers, now).unwrap().update.entries,
        [(vip(2), Some(ballot(&["a", "b"]).id()))]
    );
    assert_eq!(next_hello(&mut peers, now), None);
    peers.set_ready(vips_of_both(&[1, 2]), true, now);
    let leaving = next_hello(&mut peers, now).unwrap();
    assert!(leaving.is_leaving && leaving.update.entries == [(vip(1), None), (vip(2), None)]);
}
