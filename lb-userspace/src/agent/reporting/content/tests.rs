use lb_common::maps::{Backend, backend_flags, delivery};

use super::*;
use crate::{
    agent::{
        engine::{Engine, Input},
        testing::{ENDPOINT, NO_RING, NODES, ROOM, dispatcher, hops, reconciler},
    },
    datapath::memory::MemoryTables,
    objects::{
        index::Index,
        source::{Change, Object, Update, file::testing::TestFiles},
    },
    os::moment::Now,
    plan::mirror::Capacity,
};

/// A director, and the versions of what it reads.
struct Rig {
    engine: Engine<MemoryTables>,
    files: TestFiles,
}

impl Rig {
    fn new(room: Capacity) -> Self {
        let engine = Engine::new(
            reconciler(MemoryTables::default(), room),
            dispatcher().0,
            Index::default(),
            BTreeSet::from([2]),
        );
        Self { engine: engine.start_with_faults(), files: TestFiles::default() }
    }

    /// These objects are there, of which Services have versions up to `seen`.
    fn load(&mut self, text: &str, seen: u64) {
        let mut update = self.files.load(&[("test.yaml", text)]);
        for change in &mut update.changes {
            if let Change::Put(Object::Node(node), _) = change {
                let node = Arc::make_mut(node);
                node.metadata.uid = node.metadata.name.as_ref().map(|name| format!("uid of {name}"));
            }
        }
        self.engine.handle(Input::Source(Update { seen, ..update }), Now::read());
    }

    fn know_hops(&mut self, is_known: bool) {
        self.engine.handle(Input::NextHops(Arc::new(hops(is_known))), Now::read());
    }

    fn report(&self, told: Option<&Report>) -> Option<Report> {
        self.engine.snapshot().report_with(1500, told)
    }
}

fn started(room: Capacity) -> Rig {
    let mut rig = Rig::new(room);
    rig.load(&format!("{NODES}{ENDPOINT}"), 7);
    assert_eq!(rig.report(None), None, "nothing was planned yet");
    rig.know_hops(true);
    rig
}

fn exceptions(report: &Report) -> Vec<(&str, &str)> {
    report.spec.exceptions.iter().map(|one| (one.service.as_str(), one.reason.as_str())).collect()
}

#[test]
fn what_is_proven_is_told_with_its_version() {
    let rig = started(ROOM);
    let report = rig.report(None).expect("a report");
    assert_eq!(&*report.node_uid, "uid of director1");
    assert_eq!(report.spec.roles, [AgentRole::Director]);
    assert_eq!(report.spec.services, ReportedServices { seen: 7, programmed: 1, total: 1 });
    assert!(exceptions(&report).is_empty(), "{report:?}");
    assert_eq!(report.urgency(None), Urgency::Soon);
    assert_eq!(report.urgency(Some(&report)), Urgency::None);
}

#[test]
fn a_report_is_soon_if_a_service_in_the_data_path_has_changed() {
    let mut rig = started(ROOM);
    let objects = format!("{NODES}{ENDPOINT}");
    let first = rig.report(None).expect("a report");
    rig.load(&objects, 8);
    let second = rig.report(Some(&first)).expect("a report");
    assert_eq!((second.spec.services.seen, second.urgency(Some(&first))), (8, Urgency::Later));
    rig.load(&objects.replace("port: 80}]}", "port: 80}], sessionAffinity: ClientIP}"), 9);
    let third = rig.report(Some(&first)).expect("a report");
    assert_eq!((third.spec.services.seen, third.urgency(Some(&first))), (9, Urgency::Soon));
    let other = objects.replace("name: web, annotations", "name: web, labels: {a: b}, annotations");
    rig.load(&other.replace("port: 80}]}", "port: 80}], sessionAffinity: ClientIP}"), 10);
    let fourth = rig.report(Some(&third)).expect("a report");
    assert_eq!(fourth.urgency(Some(&third)), Urgency::Later, "nobody waits for labels");
}

#[test]
fn a_service_that_has_no_room_is_an_exception() {
    let report = started(NO_RING).report(None).expect("a report");
    assert_eq!(exceptions(&report), [("default/web", reasons::NOT_PROGRAMMED)]);
    let message = &report.spec.exceptions[0].message;
    assert!(message.contains("no room in RINGS") && message.contains("--ring-slots"), "{message}");
}

#[test]
fn a_service_with_a_setting_that_is_wrong_is_an_exception() {
    let mut rig = started(ROOM);
    rig.load(&format!("{NODES}{ENDPOINT}").replace("dsr: \"true\"", "dsr: \"yes\""), 8);
    let report = rig.report(None).expect("a report");
    assert_eq!(exceptions(&report), [("default/web", reasons::INVALID)]);
    let message = &report.spec.exceptions[0].message;
    assert!(message.contains("`yes` is not a value of it"), "{message}");
    assert_eq!(report.spec.services.programmed, 1, "it is as it was");
}

#[test]
fn a_director_without_a_way_tells_of_it() {
    let mut rig = started(ROOM);
    rig.know_hops(false);
    let report = rig.report(None).expect("a report");
    assert_eq!(exceptions(&report), [("default/web", reasons::NO_BACKEND)]);
    assert!(report.spec.exceptions[0].is_warning());
}

#[test]
fn a_path_that_is_too_narrow_is_told_of() {
    let rig = started(ROOM);
    let mut snapshot = rig.engine.snapshot();
    let plan = Arc::make_mut(&mut snapshot.programmed.plan);
    let narrow = |backend: &Backend| Backend {
        mtu: 1500,
        delivery: delivery::GUE4,
        flags: backend.flags | backend_flags::RESOLVED,
        ..*backend
    };
    plan.backends = plan.backends.iter().map(|(key, backend)| (*key, narrow(backend))).collect();
    let report = snapshot.report_with(1500, None).expect("a report");
    assert_eq!(exceptions(&report), [("default/web", reasons::MTU)]);
    let message = &report.spec.exceptions[0].message;
    assert!(message.contains("10.0.0.1 carries 1500 bytes"), "{message}");
}

/// What it was is not news.
#[test]
fn a_version_is_not_in_effect_before_next_hops_are_known() {
    let mut rig = started(ROOM);
    let told = rig.report(None).expect("a report");
    let node = "{apiVersion: v1, kind: Node, metadata: {name: node2},
 status: {addresses: [{type: InternalIP, address: 10.0.0.2}]}}";
    let moved = ENDPOINT.replace("nodeName: node1", "nodeName: node2");
    rig.load(&format!("{NODES}{moved}---\n{node}\n"), 8);
    let report = rig.report(Some(&told)).expect("a report");
    assert_eq!(report.spec.services.seen, 7);
    assert_eq!(rig.report(None), None, "what an agent before this one has told holds");
}

#[test]
fn what_changes_no_plan_needs_no_look() {
    let mut rig = started(ROOM);
    let before = rig.engine.snapshot();
    assert!(!may_differ(&before, &rig.engine.snapshot()));
    rig.load(&format!("{NODES}{ENDPOINT}"), 8);
    assert!(may_differ(&before, &rig.engine.snapshot()));
}

#[test]
fn an_agent_without_a_node_tells_nothing() {
    let mut rig = started(ROOM);
    rig.load(&format!("{NODES}{ENDPOINT}").replace("name: director1", "name: director2"), 8);
    assert_eq!(rig.report(None), None);
}
