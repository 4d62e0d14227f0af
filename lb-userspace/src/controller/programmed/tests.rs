use std::{ops::Range, time::Instant};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    controller::testing::{dsr, node, report, service, this},
    objects::{crds::exception_reasons as reasons, translate::TranslateConfig},
};

const DIRECTOR: &[AgentRole] = &[AgentRole::Director];
const NODE: &[AgentRole] = &[AgentRole::Node];
const BOTH: &[AgentRole] = &AgentRole::ALL;

/// A version of a Service in the data path, with an address.
fn asked(name: &str, version: u64, port: u16) -> Change<Object> {
    let mut object = dsr(service(name, 1, ""));
    object["metadata"]["resourceVersion"] = version.to_string().into();
    object["metadata"]["uid"] = name.into();
    object["spec"]["ports"][0]["port"] = port.into();
    object["status"]["loadBalancer"]["ingress"] = serde_json::json!([{"ip": "192.0.2.10"}]);
    seen(object)
}

fn seen(object: Value) -> Change<Object> {
    let object = serde_json::from_value(object).expect("a Service");
    Change::Put(Object::of_service(object, TranslateConfig::default()), None)
}

fn gone(kind: Kind, name: &str) -> Change<Object> {
    Change::Gone(ObjectRef::new(kind, "default", name))
}

/// Two directors and a node.
fn three(all: &mut Programmed) {
    for name in ["d1", "d2", "n1"] {
        all.apply(&node(name, &[]));
    }
}

fn is(all: &Programmed, name: &str) -> (&'static str, String, String) {
    let verdict = all.verdict(&this(name)).expect("a Service in the data path");
    (verdict.status, verdict.reason, verdict.message)
}

fn told(status: &'static str, reason: &str, message: &str) -> (&'static str, String, String) {
    (status, reason.to_owned(), message.to_owned())
}

#[test]
fn a_service_is_programmed_once_all_machines_say_so() {
    let mut all = Programmed::default();
    three(&mut all);
    all.apply(&asked("web", 10, 80));
    assert_eq!(is(&all, "web").1, "NoReports");
    all.apply(&report("n1", NODE, 10, &[]));
    assert_eq!(is(&all, "web").1, "NoReports");
    all.apply(&report("d1", DIRECTOR, 10, &[]));
    all.apply(&report("d2", BOTH, 9, &[]));
    let (status, reason, message) = is(&all, "web");
    assert_eq!((status, reason.as_str()), ("Unknown", "Pending"));
    let pending = "1 of 2 directors, 1 of 2 nodes have told of this version; not yet: d2 (";
    assert!(message.starts_with(pending), "{message}");
    all.take_touched();
    all.apply(&report("d2", BOTH, 12, &[]));
    assert_eq!(is(&all, "web"), told("True", "Programmed", "2 of 2 directors, 2 of 2 nodes"));
    assert_eq!(all.take_touched(), BTreeSet::from([this("web")]));
    // Its conditions, and those of others, make no difference.
    all.apply(&asked("web", 20, 80));
    assert_eq!(is(&all, "web").0, "True");
    all.apply(&asked("web", 21, 81));
    assert_eq!(is(&all, "web").1, "Pending");
    all.apply(&gone(Kind::Service, "web"));
    assert_eq!(all.verdict(&this("web")), None);
}

#[test]
fn a_machine_that_has_an_exception_is_named_with_its_reason() {
    let mut all = Programmed::default();
    three(&mut all);
    all.apply(&asked("web", 10, 80));
    all.apply(&report("d1", DIRECTOR, 10, &[]));
    all.apply(&report("d2", DIRECTOR, 10, &[("web", reasons::NOT_PROGRAMMED)]));
    all.apply(&report("n1", NODE, 10, &[]));
    let message = "1 of 2 directors, 1 of 1 nodes; d2: it does not fit";
    assert_eq!(is(&all, "web"), told("False", reasons::NOT_PROGRAMMED, message));
    let notice = Notice {
        service: this("web"),
        reason: reasons::NOT_PROGRAMMED.to_owned(),
        message: "d2: it does not fit".to_owned(),
    };
    assert_eq!(all.take_begun(), [notice]);
    // The second machine with it is no transition.
    all.apply(&report("n1", NODE, 10, &[("web", reasons::NOT_PROGRAMMED)]));
    assert_eq!((is(&all, "web").0, all.take_begun()), ("False", Vec::new()));
    all.apply(&report("n1", NODE, 10, &[("web", reasons::INVALID)]));
    assert_eq!(is(&all, "web").1, reasons::NOT_PROGRAMMED, "of several reasons");
    for (name, role) in [("n1", NODE), ("d2", DIRECTOR)] {
        all.apply(&report(name, role, 10, &[("web", reasons::MTU)]));
    }
    let message = "2 of 2 directors, 1 of 1 nodes; d2: it does not fit; n1: it does not fit";
    assert_eq!(is(&all, "web"), told("True", "ProgrammedWithWarnings", message));
    let begun = all.take_begun();
    assert_eq!(
        begun.iter().map(|notice| notice.reason.as_str()).collect::<Vec<_>>(),
        [reasons::INVALID, reasons::MTU]
    );
}

#[test]
fn machines_that_are_away_do_not_count() {
    let mut all = Programmed::default();
    three(&mut all);
    all.apply(&asked("web", 10, 80));
    all.apply(&report("d1", DIRECTOR, 10, &[]));
    all.apply(&report("d2", DIRECTOR, 5, &[]));
    assert_eq!(is(&all, "web").1, "Pending");
    let mut away = node("d2", &[]);
    if let Change::Put(Object::Node(node), _) = &mut away {
        node.is_ready = false;
    }
    all.apply(&away);
    assert_eq!(is(&all, "web"), told("True", "Programmed", "1 of 1 directors, 0 of 0 nodes"));
    all.apply(&node("d2", &[]));
    assert_eq!(is(&all, "web").1, "Pending");
    all.apply(&gone(Kind::AgentReport, "d2"));
    assert_eq!(is(&all, "web").0, "True");
    all.apply(&gone(Kind::Node, "d1"));
    assert_eq!(is(&all, "web").1, "NoReports");
    // Another machine with this name has nothing yet.
    let mut other = node("d1", &[]);
    if let Change::Put(Object::Node(node), _) = &mut other {
        node.uid = "another".to_owned();
    }
    all.apply(&other);
    assert_eq!(is(&all, "web").1, "NoReports");
    all.apply(&node("d1", &[]));
    assert_eq!(is(&all, "web").0, "True");
}

#[test]
fn what_a_report_has_no_room_to_name_is_not_certain() {
    let mut all = Programmed::default();
    three(&mut all);
    all.apply(&asked("web", 10, 80));
    all.apply(&asked("dns", 11, 80));
    let many: Vec<_> = (0..150).map(|number| format!("a{number:03}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), reasons::NOT_PROGRAMMED)).collect();
    all.apply(&report("d1", DIRECTOR, 20, &many));
    assert_eq!(is(&all, "web").1, "ReportIncomplete");
    all.take_touched();
    all.apply(&report("d1", DIRECTOR, 20, &[]));
    assert_eq!(is(&all, "dns").0, "True");
    assert!(all.take_touched().is_superset(&BTreeSet::from([this("web"), this("dns")])));
}

/// A leader that has just started knows no former version.
#[test]
fn what_was_programmed_when_a_leader_starts_still_is() {
    let condition = |status: &str| {
        serde_json::json!([{
            "type": "trigon.dev/Programmed", "status": status, "reason": "Programmed", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }])
    };
    let with_condition = |name: &str, status: &str| {
        let mut object = dsr(service(name, 1, ""));
        object["metadata"]["resourceVersion"] = "30".into();
        object["status"] = serde_json::json!({
            "loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}, "conditions": condition(status),
        });
        seen(object)
    };
    let mut all = Programmed::default();
    three(&mut all);
    all.apply(&with_condition("web", "True"));
    all.apply(&with_condition("dns", "Unknown"));
    all.apply(&Change::Synced(Kind::Service));
    all.apply(&with_condition("late", "True"));
    all.apply(&report("d1", DIRECTOR, 20, &[]));
    assert_eq!(["web", "dns", "late"].map(|name| is(&all, name).0), ["True", "Unknown", "Unknown"]);
}

/// Ten thousand Services, of which one is new; a thousand agents report that they have it.
#[test]
fn news_cost_the_services_that_they_decide_about() {
    let mut all = Programmed::default();
    let agents: Vec<_> = (0..1000).map(|number| format!("m{number}")).collect();
    for name in &agents {
        all.apply(&node(name, &[]));
        all.apply(&report(name, BOTH, 20_000, &[]));
    }
    (1..=10_000).for_each(|version| all.apply(&asked(&format!("s{version}"), version, 80)));
    all.apply(&asked("new", 30_000, 80));
    all.take_touched();
    let start = Instant::now();
    for (number, name) in agents.iter().enumerate() {
        all.apply(&report(name, BOTH, 30_000, &[]));
        let is_last = number + 1 == agents.len();
        assert_eq!(all.take_touched().len(), usize::from(is_last), "{name}");
    }
    println!("a thousand reports: {:?}", start.elapsed());
    assert_eq!(is(&all, "new"), told("True", "Programmed", "1000 of 1000 directors, 1000 of 1000 nodes"));
}

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    /// Of a Service of this number; its port says what it asks for.
    Put(u8, u16),
    Remove(u8),
    /// Of the agent of this number: roles, how many versions it is behind, exceptions, and whether it names them all.
    Report(u8, u8, u64, Vec<(u8, bool)>, bool),
    RemoveReport(u8),
    Node(u8, bool),
    RemoveNode(u8),
}

const SERVICES: Range<u8> = 0..5;
const AGENTS: Range<u8> = 0..4;

fn step() -> impl Strategy<Value = Step> {
    let exceptions = prop::collection::vec((SERVICES, any::<bool>()), 0..3);
    let report = (AGENTS, 1..4_u8, 0..6_u64, exceptions, prop::bool::weighted(0.2));
    prop_oneof![
        4 => (SERVICES, 80..83_u16).prop_map(|(number, port)| Step::Put(number, port)),
        1 => SERVICES.prop_map(Step::Remove),
        8 => report.prop_map(|(agent, roles, behind, exceptions, omits)| {
            Step::Report(agent, roles, behind, exceptions, omits)
        }),
        1 => AGENTS.prop_map(Step::RemoveReport),
        4 => (AGENTS, prop::bool::weighted(0.8)).prop_map(|(agent, is_ready)| Step::Node(agent, is_ready)),
        1 => AGENTS.prop_map(Step::RemoveNode),
    ]
}

fn change(step: &Step, version: u64) -> Change<Object> {
    match step {
        Step::Put(number, port) => asked(&format!("s{number}"), version, *port),
        Step::Remove(number) => gone(Kind::Service, &format!("s{number}")),
        Step::Report(agent, roles, behind, exceptions, omits) => {
            let roles: Vec<_> = [(1, AgentRole::Director), (2, AgentRole::Node)]
                .into_iter()
                .filter(|(bit, _)| roles & bit != 0)
                .collect();
            let roles: Vec<_> = roles.into_iter().map(|(_, role)| role).collect();
            let named: Vec<_> =
                exceptions.iter().map(|(number, is_bad)| (format!("s{number}"), *is_bad)).collect();
            let reason = |is_bad| if is_bad { reasons::NOT_PROGRAMMED } else { reasons::MTU };
            let named: Vec<_> = named.iter().map(|(name, is_bad)| (name.as_str(), reason(*is_bad))).collect();
            let mut change = report(&format!("m{agent}"), &roles, version.saturating_sub(*behind), &named);
            if let Change::Put(Object::Report(report), _) = &mut change {
                report.spec.omitted = u32::from(*omits);
            }
            change
        }
        Step::RemoveReport(agent) => gone(Kind::AgentReport, &format!("m{agent}")),
        Step::Node(agent, is_ready) => {
            let mut change = node(&format!("m{agent}"), &[]);
            if let Change::Put(Object::Node(node), _) = &mut change {
                node.is_ready = *is_ready;
            }
            change
        }
        Step::RemoveNode(agent) => gone(Kind::Node, &format!("m{agent}")),
    }
}

/// The same, from all that is there, in the simplest way.
#[derive(Default)]
struct Model {
    /// The version since when each asks for its port.
    services: BTreeMap<u8, (u64, u16)>,
    reports: BTreeMap<u8, crate::objects::crds::AgentReportSpec>,
    ready: BTreeSet<u8>,
}

impl Model {
    fn apply(&mut self, step: &Step, change: &Change<Object>, version: u64) {
        match (step, change) {
            (Step::Put(number, port), _) => {
                let asked = self.services.entry(*number).or_insert((version, *port));
                if asked.1 != *port {
                    *asked = (version, *port);
                }
            }
            (Step::Remove(number), _) => drop(self.services.remove(number)),
            (Step::Report(agent, ..), Change::Put(Object::Report(report), _)) => {
                self.reports.insert(*agent, report.spec.clone());
            }
            (Step::RemoveReport(agent), _) => drop(self.reports.remove(agent)),
            (Step::Node(agent, true), _) => drop(self.ready.insert(*agent)),
            (Step::Node(agent, false) | Step::RemoveNode(agent), _) => drop(self.ready.remove(agent)),
            _ => unreachable!("a report is put"),
        }
    }

    /// Status, and reason; and how many directors and nodes have it.
    fn verdict(&self, number: u8) -> Option<(&'static str, String, [usize; 2])> {
        let (since, _) = self.services.get(&number)?;
        let counted: Vec<_> = self
            .reports
            .iter()
            .filter(|(agent, _)| self.ready.contains(agent))
            .map(|(_, report)| report)
            .collect();
        let name = format!("default/s{number}");
        let is_bad = |report: &&&crate::objects::crds::AgentReportSpec| {
            report.exceptions.iter().any(|exception| exception.service == name && !exception.is_warning())
        };
        let is_behind = |report: &&&crate::objects::crds::AgentReportSpec| report.services.seen < *since;
        let omits = |report: &&&crate::objects::crds::AgentReportSpec| report.omitted > 0;
        let good = AgentRole::ALL.map(|role| {
            let of_role = counted.iter().filter(|report| report.roles.contains(&role));
            of_role.filter(|report| !is_bad(report) && !is_behind(report) && !omits(report)).count()
        });
        let (status, reason) = if !counted.iter().any(|report| report.roles.contains(&AgentRole::Director)) {
            ("Unknown", "NoReports")
        } else if counted.iter().any(|report| is_bad(&report)) {
            ("False", reasons::NOT_PROGRAMMED)
        } else if counted.iter().any(|report| is_behind(&report)) {
            ("Unknown", "Pending")
        } else if counted.iter().any(|report| omits(&report)) {
            ("Unknown", "ReportIncomplete")
        } else if counted.iter().any(|report| report.exceptions.iter().any(|one| one.service == name)) {
            ("True", "ProgrammedWithWarnings")
        } else {
            ("True", "Programmed")
        };
        Some((status, reason.to_owned(), good))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whoever looks only at what is touched knows what somebody knows who looks at all.
    #[test]
    fn incremental_is_as_from_scratch(steps in prop::collection::vec(step(), 1..60)) {
        let (mut all, mut model) = (Programmed::default(), Model::default());
        let mut held = BTreeMap::new();
        for (step, version) in steps.iter().zip(10..) {
            let change = change(step, version);
            all.apply(&change);
            model.apply(step, &change, version);
            for this in all.take_touched() {
                held.insert(this.clone(), all.verdict(&this).map(|verdict| (verdict.status, verdict.reason)));
            }
            for number in SERVICES {
                let this = this(&format!("s{number}"));
                let expected = model.verdict(number);
                let known = held.get(&this).cloned().flatten();
                prop_assert_eq!(
                    known,
                    expected.clone().map(|(status, reason, _)| (status, reason)),
                    "{} after {:?}", this, step
                );
                if let Some((_, reason, [directors, nodes])) = expected.filter(|(_, reason, _)| reason != "NoReports") {
                    let message = all.verdict(&this).expect("a Service").message;
                    let (first, rest) = message.split_once(" of ").expect("numbers");
                    prop_assert_eq!(first, directors.to_string(), "{}: {}", reason, &message);
                    let (_, rest) = rest.split_once(", ").expect("numbers");
                    prop_assert!(rest.starts_with(&format!("{nodes} of ")), "{}", &message);
                }
            }
        }
    }
}
