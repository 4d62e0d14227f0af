//! Conditions about machines, and Events.

use super::*;
use crate::{controller::testing::report, objects::crds::AgentRole};

const DIRECTOR: &[AgentRole] = &[AgentRole::Director];
const NODE: &[AgentRole] = &[AgentRole::Node];

impl Rig {
    /// With a director that has a report.
    fn with_director() -> Self {
        let mut rig = Self::new();
        rig.change(node("d1", &[]));
        rig.report("d1", DIRECTOR, &[]);
        rig
    }

    /// The agent has seen all that there is.
    fn report(&mut self, name: &str, roles: &[AgentRole], exceptions: &[(&str, &str)]) {
        let change = report(name, roles, self.api.version(), exceptions);
        self.change(change);
        self.settle();
    }

    /// Status and reason.
    fn programmed(&self, name: &str) -> Option<(String, String)> {
        self.api.programmed(name).map(|(status, reason, _)| (status, reason))
    }

    fn is_programmed(&self, name: &str) -> bool {
        self.programmed(name) == told("True", "Programmed")
    }
}

fn told(status: &str, reason: &str) -> Option<(String, String)> {
    Some((status.to_owned(), reason.to_owned()))
}

#[test]
fn a_service_is_told_to_be_programmed_when_agents_say_so() {
    let mut rig = Rig::new();
    rig.change(node("d1", &[]));
    rig.apply(dsr(service("web", 1, "192.0.2.10")));
    rig.check("web", &["192.0.2.10"], ASSIGNED);
    assert_eq!(rig.programmed("web"), told("Unknown", "NoReports"));
    rig.report("d1", DIRECTOR, &[]);
    assert!(rig.is_programmed("web"));
    // One whose agents are quick gets one condition, and no other before it.
    rig.apply(dsr(service("dns", 2, "192.0.2.53")));
    assert_eq!(rig.programmed("dns"), None);
    rig.report("d1", DIRECTOR, &[]);
    assert!(rig.is_programmed("dns"));
    let writes = rig.api.writes;
    // And one whose agents are not, is told so.
    rig.apply(dsr(service("mail", 3, "192.0.2.25")));
    rig.now += FIRST_WORD;
    rig.settle();
    assert_eq!(rig.programmed("mail"), told("Unknown", "Pending"));
    rig.report("d1", DIRECTOR, &[]);
    assert!(rig.is_programmed("mail"));
    assert_eq!(rig.api.writes, writes + 3, "the address, and two conditions");
    // Out of the data path, out of the status; the addresses stay.
    rig.apply(service("mail", 3, "192.0.2.25"));
    assert_eq!(rig.programmed("mail"), None);
    rig.check("mail", &["192.0.2.25"], ASSIGNED);
}

/// Also where others write the addresses.
#[test]
fn addresses_by_hand_stay_theirs_beside_our_condition() {
    let mut rig = Rig::with_director();
    rig.apply(dsr(service("web", 1, "")));
    rig.write_by_hand("web", &["192.0.2.10"]);
    rig.report("d1", DIRECTOR, &[]);
    assert!(rig.is_programmed("web"));
    rig.check("web", &["192.0.2.10"], None);
    rig.apply(service("web", 1, ""));
    assert_eq!(rig.programmed("web"), None);
    rig.check("web", &["192.0.2.10"], None);
}

#[test]
fn what_a_machine_lacks_is_told_with_its_name() {
    let mut rig = Rig::with_director();
    rig.change(node("n1", &[]));
    rig.apply(dsr(service("web", 1, "192.0.2.10")));
    rig.report("d1", DIRECTOR, &[]);
    rig.report("n1", NODE, &[("web", "NotProgrammed")]);
    let message = "1 of 1 directors, 0 of 1 nodes; n1: it does not fit".to_owned();
    assert_eq!(rig.api.programmed("web"), Some(("False".into(), "NotProgrammed".into(), message)));
    rig.report("n1", NODE, &[]);
    assert!(rig.is_programmed("web"));
}

/// Two a second, for half a minute, and an agent that reports every five seconds.
#[test]
fn many_changes_are_few_writes() {
    let mut rig = Rig::with_director();
    rig.apply(dsr(service("web", 1, "192.0.2.10")));
    rig.report("d1", DIRECTOR, &[]);
    let writes = rig.api.writes;
    for half in 0..60_u16 {
        rig.now += Duration::from_millis(500);
        let mut object = dsr(service("web", 1, "192.0.2.10"));
        object["spec"]["ports"][0]["port"] = (1000 + half).into();
        let change = rig.api.apply(object);
        rig.change(change);
        if half % 10 == 0 {
            let change = report("d1", DIRECTOR, rig.api.version(), &[]);
            rig.change(change);
        }
        while rig.step() {}
    }
    let count = rig.api.writes - writes;
    assert!((1..=12).contains(&count), "{count} writes");
    rig.report("d1", DIRECTOR, &[]);
    assert!(rig.is_programmed("web"));
}

#[test]
fn mere_words_are_written_at_most_once_a_minute() {
    let mut rig = Rig::with_director();
    rig.apply(dsr(service("web", 1, "192.0.2.10")));
    rig.apply(dsr(service("dns", 2, "192.0.2.53")));
    rig.report("d1", DIRECTOR, &[("web", "NotProgrammed")]);
    assert!(rig.is_programmed("dns"));
    let writes = rig.api.writes;
    for second in 1..=180 {
        rig.now += Duration::from_secs(1);
        let name = format!("n{second}");
        rig.change(node(&name, &[]));
        rig.report(&name, NODE, &[]);
    }
    let count = rig.api.writes - writes;
    assert!((4..=6).contains(&count), "{count} writes");
    for _ in 0..2 {
        rig.now += REWORD;
        rig.settle();
    }
    let (_, _, message) = rig.api.programmed("web").expect("a condition");
    assert!(message.starts_with("0 of 1 directors, 180 of 180 nodes"), "{message}");
    let (_, _, message) = rig.api.programmed("dns").expect("a condition");
    assert_eq!(message, "1 of 1 directors, 180 of 180 nodes");
}

#[test]
fn words_of_many_services_are_one_write_a_second() {
    let mut rig = Rig::with_director();
    let names: Vec<_> = (0..300_u16).map(|number| format!("s{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        rig.apply(dsr(service(name, 1, &format!("192.0.{}.{}", number / 200, number % 200 + 1))));
    }
    rig.report("d1", DIRECTOR, &[]);
    assert!(names.iter().all(|name| rig.is_programmed(name)));
    rig.change(node("n1", &[]));
    rig.report("n1", NODE, &[]);
    let writes = rig.api.writes;
    for _ in 0..1200 {
        rig.now += Duration::from_millis(250);
        while rig.step() {}
    }
    let count = rig.api.writes - writes;
    assert!((150..=280).contains(&count), "{count} writes in 300 s");
    // What is said again and again meanwhile takes no more turns.
    for _ in 0..20 {
        rig.report("n1", NODE, &[]);
        rig.change(node("n1", &["192.0.3.200"]));
        rig.now += REWORD;
        while rig.step() {}
    }
    let last = rig.engine.last_rewording.expect("there was one");
    assert!(last < rig.now + Duration::from_secs(300), "{:?}", last - rig.now);
}

/// A machine that dies is in the words of all of them.
#[test]
fn numbers_of_machines_are_put_right_where_services_are_few() {
    for (count, is_put_right) in [(MOST_RECOUNTED, true), (MOST_RECOUNTED + 1, false)] {
        let mut rig = Rig::with_director();
        for number in 0..count {
            let address = format!("192.0.{}.{}", number / 200, number % 200 + 1);
            rig.apply(dsr(service(&format!("s{number}"), 1, &address)));
        }
        rig.report("d1", DIRECTOR, &[]);
        rig.change(node("n1", &[]));
        rig.report("n1", NODE, &[]);
        let writes = rig.api.writes;
        rig.now += REWORD;
        rig.settle();
        assert_eq!(rig.api.writes > writes, is_put_right, "{count} Services");
        // What a machine lacks is told in any case.
        rig.report("n1", NODE, &[("s0", "NotProgrammed")]);
        assert_eq!(rig.programmed("s0"), told("False", "NotProgrammed"));
    }
}

#[test]
fn what_begins_is_told_by_one_event() {
    let mut rig = Rig::with_director();
    rig.apply(dsr(service("web", 1, "192.0.2.10")));
    rig.report("d1", DIRECTOR, &[]);
    let next = |rig: &mut Rig, exceptions: &[(&str, &str)]| {
        rig.report("d1", DIRECTOR, exceptions);
        let notice = rig.engine.next_notice(rig.now).map(|(_, notice)| (notice.reason, notice.message));
        assert_eq!(rig.engine.next_notice(rig.now), None);
        notice
    };
    let narrow = [("web", "PathMtuTooSmall"), ("unknown", "PathMtuTooSmall")];
    let told = Some(("PathMtuTooSmall".to_owned(), "d1: it does not fit".to_owned()));
    assert_eq!(next(&mut rig, &narrow), told);
    assert_eq!(next(&mut rig, &narrow), None);
    // One that comes and goes is not told each time.
    assert_eq!(next(&mut rig, &[]), None);
    assert_eq!(next(&mut rig, &narrow), None);
    assert_eq!(next(&mut rig, &[]), None);
    rig.now += SAID;
    assert_eq!(next(&mut rig, &narrow), told);
    let message = "1 of 1 directors, 0 of 0 nodes; d1: it does not fit".to_owned();
    assert_eq!(rig.api.programmed("web"), Some(("True".into(), "ProgrammedWithWarnings".into(), message)));
}

#[test]
fn what_begins_while_nobody_leads_is_told_by_the_next_leader() {
    let mut rig = Rig::with_director();
    rig.apply(dsr(service("web", 1, "192.0.2.10")));
    for (pause, is_told) in [(GAP / 2, true), (GAP * 2, false)] {
        rig.now += SAID;
        rig.report("d1", DIRECTOR, &[]);
        let now = rig.now;
        rig.engine.set_leadership(None, now);
        rig.report("d1", DIRECTOR, &[("web", "PathMtuTooSmall")]);
        assert_eq!(rig.engine.next_notice(rig.now), None);
        rig.now += pause;
        rig.lead();
        assert_eq!(rig.engine.next_notice(rig.now).is_some(), is_told);
    }
}

/// Nor does a Service lose its condition.
#[test]
fn addresses_do_not_wait_for_reports() {
    let mut rig = Rig::with_director();
    rig.apply(dsr(service("web", 1, "192.0.2.10")));
    rig.report("d1", DIRECTOR, &[]);
    assert!(rig.is_programmed("web"));
    rig.engine = Engine::new(1, rig.now);
    rig.lead();
    let all = rig.api.all();
    rig.engine.apply_changes(all, rig.now);
    rig.change(Change::Synced(Kind::Service));
    let writes = rig.api.writes;
    rig.settle();
    assert_eq!(rig.api.writes, writes);
    rig.apply(dsr(service("web", 1, "192.0.2.11")));
    rig.apply(dsr(service("dns", 2, "192.0.2.53")));
    rig.check("web", &["192.0.2.11"], ASSIGNED);
    rig.check("dns", &["192.0.2.53"], ASSIGNED);
    assert!(rig.is_programmed("web"), "it is told as it was");
    assert_eq!(rig.programmed("dns"), None);
    rig.change(Change::Synced(Kind::AgentReport));
    rig.settle();
    assert_eq!(
        ["web", "dns"].map(|name| rig.programmed(name)),
        [(); 2].map(|()| told("Unknown", "NoReports"))
    );
}

#[test]
fn an_address_does_not_wait_for_the_conditions_of_others() {
    let mut rig = Rig::with_director();
    for number in 0..100_u8 {
        rig.apply(dsr(service(&format!("s{number}"), 1, &format!("192.0.2.{number}"))));
        rig.now += Duration::from_secs(1);
    }
    rig.report("d1", DIRECTOR, &[]);
    rig.now += Duration::from_secs(100);
    let change = Change::Gone(ObjectRef::new(Kind::Node, "", "d1"));
    rig.change(change);
    while rig.step() {}
    let change = rig.api.apply(service("dns", 2, "192.0.2.153"));
    rig.change(change);
    rig.now += Duration::from_millis(60);
    assert!(rig.step());
    rig.check("dns", &["192.0.2.153"], ASSIGNED);
}
