mod conditions;
mod property;

use serde_json::{Value, json};

use super::*;
use crate::{
    controller::testing::{FakeApi, by_hand, dsr, node, service},
    objects::source::Kind,
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
        this.change(Change::Synced(Kind::AgentReport));
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
        for _ in 0..10_000 {
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
