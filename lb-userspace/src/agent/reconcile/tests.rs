//! Whatever happens to the objects, to the maps and to the agent: at every moment packets
//! go where they belong, and at the end the maps are those of a fresh start.

mod checked;
mod contents;
mod faults;
mod objects;
mod shortages;

use std::{
    io::{self, Write},
    net::IpAddr,
    time::{Duration, Instant},
};

use checked::CheckedTables;
use contents::{Contents, Needs, ServiceContents};
use lb_common::{Addr, maps::Backend, roles};
use objects::{ME, Objects, next_hops, node_address, some_objects};
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, TestCaseError, TestRng, TestRunner},
};

use super::*;
use crate::{
    agent::dispatcher::CarriedVips,
    neigh::{self, Mac, NextHop, Reach},
    plan::{Subject, diff, mirror::SlabMirror, next_hop_targets},
};

/// The sequences of a run.
const CASES: u32 = 10_000;
const BOTH: u32 = roles::DIRECTOR | roles::NODE;
/// Slots of a ring of few members, in whole chunks.
const RING: u32 = 512;

/// Enough for the tests of one thing each.
const ROOM: Capacity = Capacity {
    services: 8,
    backends: 16,
    endpoints: 8,
    ring_slots: 32 + 10 * RING,
    history_slots: 32 + 10 * RING,
    ranges: 8,
    vips: 8,
    peers: 8,
};

#[derive(Clone, Debug)]
enum Step {
    /// The objects change, and some changes of the maps fail: the attempts of these numbers.
    Change(Objects, BTreeSet<usize>),
    /// The agent is killed in the course of a step, after so many changes of the maps; and perhaps the next one
    /// too, while it takes over.
    Kill(Box<Step>, usize, Option<usize>),
    Tick,
    /// Nodes look dead from now on.
    Dead(BTreeSet<u8>),
    /// Another program overwrites what is written after so many changes, before it is read back.
    Overwrite(usize),
    /// No sweep is done for so many ticks.
    SlowSweeps(u64),
    /// The next hops of these nodes were not looked up yet.
    Unknown(BTreeSet<u8>),
    /// From now on these nodes answer from this MAC address, or not at all, and some changes of
    /// the maps fail.
    Answers(BTreeSet<u8>, Option<Mac>, BTreeSet<usize>),
    /// There is no route to these nodes.
    Unreachable(BTreeSet<u8>),
    /// Reading back fails: the reads of these numbers.
    BadReads(BTreeSet<usize>),
}

/// What an agent has work with.
fn some_work() -> impl Strategy<Value = Step> {
    let failing = || {
        prop_oneof![
            2 => Just(BTreeSet::new()),
            1 => prop::collection::btree_set(0usize..30, 1..6),
        ]
    };
    let some_mac = || prop_oneof![Just(None), (1u8..4).prop_map(|byte| Some([byte; 6]))];
    prop_oneof![
        6 => (some_objects(), failing()).prop_map(|(objects, failing)| Step::Change(objects, failing)),
        6 => Just(Step::Tick),
        1 => prop::collection::btree_set(0u8..5, 0..3).prop_map(Step::Dead),
        1 => prop::collection::btree_set(0u8..5, 0..3).prop_map(Step::Unknown),
        2 => (prop::collection::btree_set(1u8..5, 1..3), some_mac(), failing())
            .prop_map(|(nodes, mac, failing)| Step::Answers(nodes, mac, failing)),
        1 => prop::collection::btree_set(1u8..5, 0..3).prop_map(Step::Unreachable),
    ]
}

fn some_kill() -> impl Strategy<Value = Step> {
    // Some work makes many changes, a tick few.
    let after = prop_oneof![0usize..3, 0usize..40];
    (some_work(), after, prop::option::of(0usize..3))
        .prop_map(|(work, after, again)| Step::Kill(Box::new(work), after, again))
}

fn some_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        17 => some_work(),
        3 => some_kill(),
        1 => (0usize..20).prop_map(Step::Overwrite),
        1 => (1u64..6).prop_map(Step::SlowSweeps),
        1 => prop::collection::btree_set(0usize..30, 1..4).prop_map(Step::BadReads),
    ]
}

/// Maps that are large enough, or too small for some of the clusters. A ring is written
/// anew before the old one is freed, so the slabs have twice the room.
fn some_room() -> impl Strategy<Value = Capacity> {
    let slots = prop_oneof![3 => Just(32 + 10 * RING), 1 => Just(32 + 2 * RING)];
    (1u32..7, 2u32..14, 1u32..12, slots, 1u32..8, 1u32..5, 1u32..6).prop_map(
        |(services, backends, endpoints, slots, ranges, vips, peers)| Capacity {
            services,
            backends,
            endpoints,
            ring_slots: slots,
            history_slots: slots,
            ranges,
            vips,
            peers,
        },
    )
}

/// An agent and its surroundings.
struct World {
    agent: Reconciler<CheckedTables>,
    room: Capacity,
    roles: u32,
    hops: NextHops,
    objects: Objects,
    dead: Dead,
    carried: CarriedVips,
    start: Instant,
    passed: Duration,
}

fn identity(roles: u32) -> Identity {
    Identity {
        node: ME.into(),
        roles,
        asks_former_owners: true,
        bare_sources: Arc::default(),
        answer_echo: false,
        bgp_port: None,
    }
}

fn node(number: u8) -> Addr {
    node_address(number).into()
}

/// If it is reached by a neighbour.
fn set_answer(hops: &mut NextHops, target: IpAddr, mac: Option<Mac>) {
    if let Some(Reach::Via(hop)) = hops.get(&target).cloned() {
        hops.insert(target, Reach::Via(NextHop { dst_mac: mac, ..hop }));
    }
}

/// Who looks only at what is new finds what there is to do.
pub fn assert_same_diff(found: &diff::Diff, all: &diff::Diff) {
    let ops = |diff: &diff::Diff| diff.ops().cloned().collect::<Vec<_>>();
    assert_eq!(ops(found), ops(all));
    assert_eq!(found.shortages, all.shortages);
}

fn agent(tables: CheckedTables, room: Capacity, roles: u32) -> Reconciler<CheckedTables> {
    Reconciler::new(identity(roles), tables, room).expect("maps that can be read")
}

impl World {
    /// Of a machine that has both roles.
    fn new(room: Capacity) -> Self {
        Self::with_roles(room, BOTH)
    }

    fn with_roles(room: Capacity, roles: u32) -> Self {
        Self {
            agent: agent(CheckedTables::new(room, roles), room, roles),
            room,
            roles,
            hops: next_hops(),
            objects: Objects::default(),
            dead: Dead::new(),
            carried: CarriedVips::default(),
            start: Instant::now(),
            passed: Duration::ZERO,
        }
    }

    fn now(&self) -> Now {
        Now { instant: self.start + self.passed, monotonic: Duration::from_secs(1000) + self.passed }
    }

    /// As the engine does: not for the first time before all next hops were looked up.
    fn reconcile(&mut self) {
        self.agent.tables_mut().begin_step();
        let (now, cluster) = (self.now(), self.objects.cluster());
        let is_known = |target: &IpAddr| self.hops.contains_key(target);
        if self.agent.programmed().is_planned || next_hop_targets(&cluster).iter().all(is_known) {
            self.agent.reconcile(&cluster, &self.hops, &self.dead, now);
        }
    }

    fn tick(&mut self) {
        self.passed += Duration::from_secs(1);
        self.agent.tables_mut().begin_step();
        self.agent.tables_mut().tick();
        self.agent.tick(self.now());
    }

    fn set_objects(&mut self, objects: Objects) {
        self.objects = objects;
        self.reconcile();
    }

    fn change(&mut self, services: &[(u8, &[u8])]) {
        self.set_objects(Objects::with_endpoints(services));
    }

    /// As the engine does.
    fn set_hops(&mut self, hops: NextHops) {
        let before = std::mem::replace(&mut self.hops, hops);
        if !self.agent.programmed().is_planned {
            self.agent.follow_hops_of_adopted(&self.hops);
        } else if let Some(changed) = neigh::changed_answers(&before, &self.hops) {
            self.agent.tables_mut().begin_step();
            self.agent.follow_hops(&self.objects.cluster(), &self.hops, &changed);
            return;
        }
        self.reconcile();
    }

    /// The attempts of these numbers, from now on.
    fn fail_changes(&mut self, numbers: &BTreeSet<usize>) {
        let tables = &mut self.agent.tables_mut().inner;
        tables.failing = numbers.iter().map(|number| tables.attempts + number).collect();
    }

    fn take_step(mut self, step: &Step) -> Self {
        match step {
            Step::Change(objects, failing) => {
                self.fail_changes(failing);
                self.set_objects(objects.clone());
            }
            Step::Kill(step, after, again) => {
                self.agent.tables_mut().inner.fail_after(*after);
                self = self.take_step(step).take_over(*again);
                if again.is_some() {
                    self = self.restart();
                }
            }
            Step::Tick => self.tick(),
            Step::Dead(nodes) => {
                let subject = |number: &u8| Subject::of_node(&BackendKey::fellow_node(node(*number)));
                self.dead = nodes.iter().map(subject).collect();
                self.reconcile();
            }
            Step::Overwrite(after) => self.agent.tables_mut().overwrites_after = Some(*after),
            Step::SlowSweeps(ticks) => self.agent.tables_mut().stop_sweeps(*ticks),
            Step::Unknown(nodes) => {
                let is_known = |(target, _): &(IpAddr, Reach)| {
                    !nodes.iter().any(|number| node_address(*number) == *target)
                };
                self.set_hops(next_hops().into_iter().filter(is_known).collect());
            }
            Step::Answers(nodes, mac, failing) => {
                self.fail_changes(failing);
                let mut hops = self.hops.clone();
                nodes.iter().for_each(|number| set_answer(&mut hops, node_address(*number), *mac));
                self.set_hops(hops);
            }
            Step::Unreachable(nodes) => {
                let gone = |number: &u8| (node_address(*number), Reach::Unreachable("no route".into()));
                self.set_hops(next_hops().into_iter().chain(nodes.iter().map(gone)).collect());
            }
            Step::BadReads(reads) => {
                let tables = &mut self.agent.tables_mut().inner;
                tables.failing_reads = reads.iter().map(|number| tables.reads.get() + number).collect();
            }
        }
        self.check_carried_vips();
        self.check_proofs();
        self
    }

    /// Of what is proven, all that packets need is in the maps, and is what was planned. That holds after every
    /// step: what another program overwrites, it overwrites before it is read back.
    fn check_proofs(&mut self) {
        let in_maps = self.agent.tables_mut().read_mirror().expect("maps that can be read");
        let programmed = self.agent.programmed();
        for (key, generation) in &programmed.proven {
            let needs = Needs::find(&in_maps, key);
            assert_eq!(needs, Needs::find(&programmed.mirror, key), "of {key:?}");
            let needs = needs.expect("all that it needs, since it is proven");
            assert_eq!(needs.entry.generation, *generation);
            assert!(needs.are_backends_as_planned(&programmed.plan), "{:?}", needs.backends);
            let planned = programmed.plan.services.get(key);
            let written = programmed.mirror.written.get(key);
            if let Some(planned) =
                planned.filter(|planned| written.is_some_and(|it| it.is_as_planned(planned)))
            {
                ServiceContents::new(&in_maps, &needs.entry).assert_as_planned(planned, self.roles);
            }
        }
    }

    /// Who follows the changes finds the same as who looks at all.
    fn check_carried_vips(&mut self) {
        let mut all = CarriedVips::default();
        all.follow(self.agent.programmed());
        self.carried.follow(self.agent.programmed());
        assert_eq!(self.carried.vips(), all.vips());
    }

    fn restart(self) -> Self {
        self.take_over(None)
    }

    /// Another agent takes over what the killed one has left, unless it is killed after so many changes that it
    /// makes at its start. No agent starts faster.
    fn take_over(self, killed_after: Option<usize>) -> Self {
        let mut tables = self.agent.into_tables();
        tables.forget_agent();
        if let Some(changes) = killed_after {
            tables.inner.fail_after(changes);
        }
        let agent = agent(tables, self.room, self.roles);
        Self { agent, passed: self.passed + Duration::from_millis(70), ..self }
    }

    /// Nothing fails any more, and time passes.
    fn settle(&mut self) {
        let tables = self.agent.tables_mut();
        (tables.inner.failing, tables.inner.failing_reads) = Default::default();
        tables.overwrites_after = None;
        tables.stop_sweeps(0);
        self.set_hops(next_hops());
        for _ in 0..10 {
            self.tick();
            self.reconcile();
        }
    }

    /// The ports of the services that are proven, which are their numbers.
    fn proven(&self) -> Vec<u16> {
        self.agent.programmed().proven.keys().map(|key| u16::from_be(key.port)).collect()
    }

    fn contents(&self) -> Contents {
        Contents::new(&self.agent.programmed().mirror)
    }
}

/// Equal ranges are stored once.
fn are_distinct<S: Clone + Eq + std::hash::Hash>(slab: &SlabMirror<S>) -> bool {
    let mut seen = std::collections::HashSet::new();
    slab.named().all(|(_, slots)| seen.insert(slots.clone()))
}

fn check_history(room: Capacity, roles: u32, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut world = steps.iter().fold(World::with_roles(room, roles), World::take_step);
    world.settle();
    let programmed = world.agent.programmed();
    prop_assert_eq!(&programmed.failure, &None);
    prop_assert!(programmed.proven.keys().eq(programmed.mirror.services.keys()), "proofs");
    prop_assert!(are_distinct(&programmed.mirror.rings) && are_distinct(&programmed.mirror.histories));

    let mut fresh = World::with_roles(room, roles);
    (fresh.objects, fresh.dead) = (world.objects.clone(), world.dead.clone());
    fresh.settle();
    // Slots that draining endpoints keep with their flows are not there for others.
    let has_slots = programmed.mirror.endpoint_slots.held().count() < room.endpoint_slots() as usize;
    let is_ample = room.ring_slots > 32 + 2 * RING && has_slots;
    if is_ample && fresh.agent.programmed().shortages.is_empty() {
        prop_assert_eq!(&*world.agent.programmed().shortages, &BTreeSet::new());
        prop_assert_eq!(world.contents(), fresh.contents());
    }
    let in_maps = world.agent.tables_mut().read_mirror().expect("maps that can be read");
    prop_assert_eq!(Contents::new(&in_maps), world.contents(), "the mirror is what is in the maps");
    Ok(())
}

/// `TRIGON_SEED` repeats a run.
#[test]
fn maps_are_right_at_every_moment_and_those_of_a_fresh_start_at_the_end() {
    let seed = std::env::var("TRIGON_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| {
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        time.map_or(0, |time| time.as_nanos() as u64)
    });
    // Past the capture of libtest, which would show it only if the test fails.
    writeln!(io::stderr(), "TRIGON_SEED={seed}").expect("a stderr");
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let some_roles = prop_oneof![3 => Just(BOTH), 1 => Just(roles::DIRECTOR), 1 => Just(roles::NODE)];
    let histories = (some_room(), some_roles, prop::collection::vec(some_step(), 1..12));
    if let Err(error) = runner.run(&histories, |(room, roles, steps)| check_history(room, roles, &steps)) {
        panic!("TRIGON_SEED={seed}: {error}");
    }
}
