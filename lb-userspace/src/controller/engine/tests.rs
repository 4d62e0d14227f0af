use std::{collections::BTreeMap, net::IpAddr};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    controller::{
        addresses::Addresses,
        testing::{FakeApi, by_hand, dsr, node, report, service, this},
    },
    objects::crds::AgentRole,
};

/// A controller that leads, and what it writes to.
struct Rig {
    api: FakeApi,
    engine: Engine,
    now: Instant,
    events: Vec<(String, &'static str)>,
}

impl Rig {
    fn new() -> Self {
        let now = Instant::now();
        let mut this = Self { api: FakeApi::default(), engine: Engine::new(1, now), now, events: Vec::new() };
        this.lead();
        this
    }

    fn lead(&mut self) {
        self.engine.set_leadership(Some(self.now + Duration::from_secs(100_000)), self.now);
    }

    fn change(&mut self, change: Change<Object>) {
        self.engine.apply_changes(vec![change], self.now);
    }

    fn apply(&mut self, object: Value) {
        let change = self.api.apply(object);
        self.change(change);
        self.settle();
    }

    fn write_by_hand(&mut self, name: &str, addresses: &[&str]) {
        let change = self.api.write_by_hand(name, by_hand(addresses)).expect("a Service");
        self.change(change);
        self.settle();
    }

    /// Carries out the next write, if there is any by now.
    fn step(&mut self) -> bool {
        let Some(write) = self.engine.next_write(self.now, Timestamp::UNIX_EPOCH) else { return false };
        let result = self.api.carry_out(&write);
        if let (Ok(_), Some(refusal)) = (&result, &write.refusal) {
            self.events.push((write.this.name.to_string(), refusal.reason.name()));
        }
        self.engine.note_written(&write.this, result, self.now);
        true
    }

    /// Until there is nothing to write any more.
    fn settle(&mut self) {
        for _ in 0..1000 {
            while self.step() {}
            // Conditions that are not True are looked at for ever.
            let Some(due) = self.engine.queue.due() else { return };
            self.now = due.max(self.now);
        }
        panic!("there is always something to write");
    }

    fn check(&self, name: &str, addresses: &[&str], reason: Option<&str>) {
        let (told, told_reason) = self.api.told(name);
        assert_eq!(
            (told, told_reason.as_deref()),
            (addresses.iter().map(|a| (*a).to_owned()).collect(), reason),
            "{name}"
        );
    }
}

const ASSIGNED: Option<&str> = Some("Assigned");
const IN_USE: Option<&str> = Some("AddressInUse");

#[test]
fn what_is_asked_for_is_given_and_taken_back() {
    let mut rig = Rig::new();
    rig.apply(service("web", 1, "192.0.2.10,2001:db8::10"));
    rig.check("web", &["192.0.2.10", "2001:db8::10"], ASSIGNED);
    rig.apply(service("web", 1, "192.0.2.11"));
    rig.check("web", &["192.0.2.11"], ASSIGNED);
    rig.apply(service("web", 1, ""));
    rig.check("web", &[], None);
    let mut old = service("web", 1, "");
    old["spec"]["loadBalancerIP"] = "192.0.2.12".into();
    rig.apply(old);
    rig.check("web", &["192.0.2.12"], ASSIGNED);
    let mut other = service("web", 1, "192.0.2.12");
    other["spec"]["type"] = "NodePort".into();
    rig.apply(other);
    rig.check("web", &[], None);
    assert_eq!((rig.api.writes, rig.events), (5, Vec::new()));
}

/// The watch tells of a write, and of what came after it, before the write has its answer.
#[test]
fn an_answer_that_comes_late_changes_nothing() {
    for is_deleted in [false, true] {
        let mut rig = Rig::new();
        let change = rig.api.apply(service("web", 1, "192.0.2.10"));
        rig.change(change);
        let write = rig.engine.next_write(rig.now, Timestamp::UNIX_EPOCH).expect("a write");
        let written = rig.api.carry_out(&write).expect("it has not changed");
        rig.change(Change::Put(written.clone(), None));
        let after = match is_deleted {
            true => rig.api.delete("web"),
            false => rig.api.apply(service("web", 1, "192.0.2.11")),
        };
        rig.change(after);
        rig.engine.note_written(&write.this, Ok(written), rig.now);
        rig.settle();
        if !is_deleted {
            rig.check("web", &["192.0.2.11"], ASSIGNED);
        }
        rig.apply(service("other", 9, "192.0.2.10"));
        rig.check("other", &["192.0.2.10"], ASSIGNED);
    }
}

#[test]
fn an_address_of_another_is_refused_until_it_is_free() {
    let mut rig = Rig::new();
    rig.apply(service("young", 9, "192.0.2.10"));
    rig.apply(service("old", 1, "192.0.2.10"));
    rig.check("young", &["192.0.2.10"], ASSIGNED);
    rig.check("old", &[], IN_USE);
    let message = rig.api.message("old");
    for part in [
        "192.0.2.10 belongs to Service default/young already",
        "ask for another",
        "trigon.dev/allow-shared-ip",
    ] {
        assert!(message.contains(part), "{message}");
    }
    rig.apply(service("third", 5, "192.0.2.10"));
    assert_eq!(rig.events, [("old".to_owned(), "AddressInUse"), ("third".to_owned(), "AddressInUse")]);
    let gone = rig.api.delete("young");
    rig.change(gone);
    rig.settle();
    rig.check("old", &["192.0.2.10"], ASSIGNED);
    rig.check("third", &[], IN_USE);
    // Another holder is news.
    assert!(rig.api.message("third").contains("default/old"));
    assert_eq!(rig.events.len(), 3);
}

#[test]
fn of_two_that_ask_at_once_the_older_gets_it() {
    let mut rig = Rig::new();
    let both =
        vec![rig.api.apply(service("a", 2, "192.0.2.10")), rig.api.apply(service("b", 1, "192.0.2.10"))];
    rig.engine.apply_changes(both, rig.now);
    rig.settle();
    rig.check("b", &["192.0.2.10"], ASSIGNED);
    rig.check("a", &[], IN_USE);
}

#[test]
fn services_share_an_address_by_the_rules_of_agents() {
    let sharing = |name: &str, born, port: u16, word: &str| {
        let mut object = service(name, born, "192.0.2.10");
        object["metadata"]["annotations"]["trigon.dev/allow-shared-ip"] = word.into();
        object["spec"]["ports"] = json!([{"port": port}]);
        object
    };
    let mut rig = Rig::new();
    rig.apply(sharing("a", 1, 80, "x"));
    rig.apply(sharing("b", 2, 443, "x"));
    rig.check("b", &["192.0.2.10"], ASSIGNED);
    rig.apply(sharing("c", 3, 443, "x"));
    assert!(rig.api.message("c").contains(
        "default/b already: ask for another address, or give up that of the other; take TCP port 443 out"
    ));
    rig.apply(sharing("d", 4, 53, "y"));
    assert!(rig.api.message("d").contains("write the same word"));
    let mut local = sharing("e", 5, 25, "x");
    local["spec"]["externalTrafficPolicy"] = "Local".into();
    rig.apply(local.clone());
    assert!(rig.api.message("e").contains("write Cluster"), "{}", rig.api.message("e"));
    // In the data path it means nothing.
    local["metadata"]["annotations"]["trigon.dev/dsr"] = "true".into();
    rig.apply(local);
    rig.check("e", &["192.0.2.10"], ASSIGNED);
}

#[test]
fn what_a_service_has_stays_until_it_gets_what_it_asks_for() {
    let mut rig = Rig::new();
    rig.apply(service("web", 1, "192.0.2.10,2001:db8::10"));
    rig.apply(service("dns", 2, "192.0.2.53"));
    for (asked, reason) in [
        ("192.0.2.53,2001:db8::11", "AddressInUse"),
        ("192.0.2.300", "AddressInvalid"),
        ("192.0.2.99", "AddressOfNode"),
    ] {
        rig.change(node("n1", &["192.0.2.99"]));
        rig.apply(service("web", 1, asked));
        let (addresses, told) = rig.api.told("web");
        assert_eq!(told.as_deref(), Some(reason));
        assert_eq!(addresses[0], "192.0.2.10");
    }
    // By itself the other address was free, and it is not asked for any more.
    rig.check("web", &["192.0.2.10"], Some("AddressOfNode"));
    rig.change(node("n1", &["192.0.2.100"]));
    rig.settle();
    rig.check("web", &["192.0.2.99"], ASSIGNED);
    // A Node that comes later takes nothing away.
    rig.change(node("n2", &["192.0.2.99"]));
    rig.settle();
    rig.check("web", &["192.0.2.99"], ASSIGNED);
    // A family that the Service has no more goes with its address.
    rig.apply(service("web", 1, "2001:db8::10"));
    let mut single = service("web", 1, "2001:db8::10");
    single["spec"]["ipFamilies"] = json!(["IPv4"]);
    rig.apply(single);
    rig.check("web", &[], Some("FamilyMismatch"));
}

#[test]
fn what_others_wrote_is_theirs_unless_the_service_asks() {
    let mut rig = Rig::new();
    rig.apply(service("web", 1, ""));
    rig.write_by_hand("web", &["192.0.2.10"]);
    let mut foreign = service("foreign", 1, "192.0.2.30");
    foreign["spec"]["loadBalancerClass"] = "example.com/lb".into();
    rig.apply(foreign);
    rig.write_by_hand("foreign", &["192.0.2.20"]);
    assert_eq!(rig.api.writes, 0);
    // Both have theirs.
    rig.apply(service("a", 2, "192.0.2.10"));
    rig.check("a", &[], IN_USE);
    rig.apply(service("a", 2, "192.0.2.20"));
    assert!(rig.api.message("a").contains("another load balancer's"));
    rig.apply(service("a", 2, "192.0.2.30"));
    rig.check("a", &["192.0.2.30"], ASSIGNED);
    // One that asks is told what it has.
    rig.apply(service("web", 1, "192.0.2.11"));
    rig.check("web", &["192.0.2.11"], ASSIGNED);
    // What is written over it is put right, and when it asks for nothing, it is left.
    rig.write_by_hand("web", &["192.0.2.12"]);
    rig.check("web", &["192.0.2.11"], ASSIGNED);
    rig.apply(service("web", 1, ""));
    rig.write_by_hand("web", &["192.0.2.13"]);
    rig.check("web", &["192.0.2.13"], None);
}

#[test]
fn only_a_leader_writes_and_a_new_one_looks_at_all() {
    let mut rig = Rig::new();
    let now = rig.now;
    rig.engine.set_leadership(None, now);
    rig.apply(service("web", 1, "192.0.2.10"));
    assert_eq!(rig.api.writes, 0);
    rig.engine.set_leadership(Some(now + Duration::from_secs(10)), now);
    assert!(rig.engine.due(now).is_some());
    rig.now = now + Duration::from_secs(10);
    assert!(!rig.step() && rig.engine.due(rig.now).is_none(), "its time is over, though nobody has told it");
    rig.lead();
    rig.settle();
    rig.check("web", &["192.0.2.10"], ASSIGNED);
}

#[test]
fn an_old_version_from_the_watch_is_passed_over() {
    let mut rig = Rig::new();
    let old = rig.api.apply(service("web", 1, "192.0.2.10"));
    rig.change(old.clone());
    rig.settle();
    rig.change(old);
    assert_eq!(rig.engine.due(rig.now), None);
    let now = rig.api.all().remove(0);
    rig.change(now);
    assert_eq!((rig.engine.due(rig.now), rig.engine.ahead.len()), (None, 0));
}

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
fn words_of_many_services_that_are_well_are_one_write_a_second() {
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
    assert!(rig.is_programmed("web"));
    // Who does not lead tells nothing, not even later.
    next(&mut rig, &[]);
    rig.now += SAID;
    let now = rig.now;
    rig.engine.set_leadership(None, now);
    assert_eq!(next(&mut rig, &narrow), None);
    rig.lead();
    assert_eq!(rig.engine.next_notice(rig.now), None);
}

/// What may happen.
#[derive(Clone, Debug)]
enum Step {
    Apply(Value),
    Delete(u8),
    Node(u8, Vec<u8>),
    ByHand(u8, Vec<u8>),
    /// Nobody leads for a while.
    Pause,
    /// So many writes; whether the answers of some get lost.
    Write(u8, bool),
    /// What the watch had to tell is told.
    Tell,
}

fn address(number: u8) -> String {
    if number.is_multiple_of(2) { format!("192.0.2.{number}") } else { format!("2001:db8::{number}") }
}

fn list(numbers: &[u8]) -> String {
    numbers.iter().map(|number| address(*number)).collect::<Vec<_>>().join(",")
}

fn some_service() -> impl Strategy<Value = Value> {
    let spec = (0..8_u8, prop::bool::weighted(0.9), prop::bool::weighted(0.9), any::<bool>());
    let asked = prop::collection::vec(1..7_u8, 0..3);
    (0..5_u8, spec, asked, 80..82_u16, 0..3_u8).prop_map(|(number, spec, asked, port, key)| {
        let (born, is_ours, is_balancer, has_both) = spec;
        let mut object = service(&format!("s{number}"), born, &list(&asked));
        object["spec"]["ports"] = json!([{"port": port}]);
        if key > 0 {
            object["metadata"]["annotations"]["metallb.io/allow-shared-ip"] = format!("key {key}").into();
        }
        if !is_ours {
            object["spec"]["loadBalancerClass"] = "example.com/lb".into();
        }
        if !is_balancer {
            object["spec"]["type"] = "ClusterIP".into();
        }
        if !has_both {
            object["spec"]["ipFamilies"] = json!(["IPv4"]);
        }
        object
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => some_service().prop_map(Step::Apply),
        1 => (0..5_u8).prop_map(Step::Delete),
        1 => (0..2_u8, prop::collection::vec(1..7_u8, 0..2)).prop_map(|(name, numbers)| Step::Node(name, numbers)),
        1 => (0..5_u8, prop::collection::vec(1..7_u8, 0..2)).prop_map(|(name, numbers)| Step::ByHand(name, numbers)),
        1 => Just(Step::Pause),
        4 => (1..4_u8, any::<bool>()).prop_map(|(count, is_lost)| Step::Write(count, is_lost)),
        4 => Just(Step::Tell),
    ]
}

/// A write must not give a Service what another has that may not share it.
fn check_no_theft(api: &FakeApi, write: &Write) -> Result<(), TestCaseError> {
    let mut all = Addresses::default();
    api.all().into_iter().for_each(|change| all.apply(change));
    let Some(service) = all.service(&write.this) else { return Ok(()) };
    let status = write.object.status.as_ref().and_then(|status| status.load_balancer.clone());
    let given = status.and_then(|balancer| balancer.ingress).unwrap_or_default();
    for given in given.iter().filter_map(|ingress| ingress.ip.as_ref()?.parse::<IpAddr>().ok()) {
        for holder in api.holders(given).iter().filter(|_| !service.holds(given)) {
            let Some(holder) = all.service(&this(holder.metadata.name.as_deref().unwrap_or_default())) else {
                continue;
            };
            prop_assert!(
                holder.this() == service.this()
                    || crate::controller::addresses::conflict_between(holder, service).is_none(),
                "{} is given {given}, which {} has",
                write.this,
                holder.this()
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// The watch may be late, answers may get lost, and leaders change.
    #[test]
    fn whatever_happens_it_ends_with_what_all_objects_ask_for(steps in prop::collection::vec(step(), 1..40)) {
        let mut rig = Rig::new();
        let mut untold = Vec::new();
        let mut nodes = BTreeMap::new();
        for step in steps {
            match step {
                Step::Apply(object) => untold.push(rig.api.apply(object)),
                Step::Delete(number) => untold.push(rig.api.delete(&format!("s{number}"))),
                Step::Node(name, numbers) => {
                    let addresses: Vec<_> = numbers.iter().map(|number| address(*number)).collect();
                    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
                    let change = node(&format!("n{name}"), &addresses);
                    nodes.insert(name, change.clone());
                    untold.push(change);
                }
                Step::ByHand(number, numbers) => {
                    let addresses: Vec<_> = numbers.iter().map(|number| address(*number)).collect();
                    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
                    untold.extend(rig.api.write_by_hand(&format!("s{number}"), by_hand(&addresses)));
                }
                Step::Pause => {
                    rig.engine.set_leadership(None, rig.now);
                    rig.lead();
                }
                Step::Write(count, is_lost) => {
                    let is_up_to_date = untold.is_empty();
                    for _ in 0..count {
                        let Some(write) = rig.engine.next_write(rig.now, Timestamp::UNIX_EPOCH) else { break };
                        if is_up_to_date && !is_lost {
                            check_no_theft(&rig.api, &write)?;
                        }
                        let result = rig.api.carry_out(&write);
                        if let Ok(object) = &result {
                            untold.push(Change::Put(object.clone(), None));
                        }
                        let lost = Err(Failure::Other("lost".to_owned()));
                        rig.engine.note_written(&write.this, if is_lost { lost } else { result }, rig.now);
                        rig.now += Duration::from_millis(300);
                    }
                }
                Step::Tell => rig.engine.apply_changes(std::mem::take(&mut untold), rig.now),
            }
        }
        rig.engine.apply_changes(untold, rig.now);
        rig.settle();
        // From scratch there is nothing to do either, and nobody has what another has.
        let mut all = Addresses::default();
        rig.api.all().into_iter().chain(nodes.into_values()).for_each(|change| all.apply(change));
        all.settle();
        for this in all.services() {
            let service = all.service(this).expect("a Service");
            prop_assert!(all.wanted(service).is_met(&service.status), "{service:?}: {:?}", all.wanted(service));
            for address in service.held().filter(|_| service.has_request()) {
                let others = all.services().filter(|other| *other != this).filter_map(|other| all.service(other));
                for other in others.filter(|other| other.holds(address)) {
                    let conflict = crate::controller::addresses::conflict_between(service, other);
                    let is_first = |one: &Service, two: &Service| one.rank < two.rank;
                    prop_assert!(
                        conflict.is_none() || !other.has_request() && is_first(service, other),
                        "{service:?} and {other:?}"
                    );
                }
            }
        }
    }
}
