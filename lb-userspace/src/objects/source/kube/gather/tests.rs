use hyper::StatusCode;
use serde_json::json;

use super::*;
use crate::objects::source::decode::decode_object;

fn object(kind: Kind, name: &str) -> Object {
    let spec = match kind {
        Kind::AddressPool => json!({"addresses": ["192.0.2.0/24"]}),
        Kind::BgpPeer => json!({"myASN": 64512}),
        _ => json!({}),
    };
    let mut value = json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec});
    if kind == Kind::EndpointSlice {
        value = json!({"metadata": {"name": name, "namespace": "default"}, "addressType": "IPv4", "endpoints": []});
    }
    decode_object(kind, value).unwrap_or_else(|refusal| panic!("{:?}", refusal.problems))
}

fn this(kind: Kind, name: &str) -> ObjectRef {
    ObjectRef::new(kind, "default", name)
}

fn list(gathered: &mut Gatherer, kind: Kind, names: &[&str]) {
    gathered.note_event(kind, Event::Listing);
    names.iter().for_each(|name| gathered.note_event(kind, Event::Put(object(kind, name), None)));
    gathered.note_event(kind, Event::Listed);
}

/// All kinds are listed, of which there is one Service.
fn synced() -> Gatherer {
    let mut gathered = Gatherer::new("https://api".to_owned(), &Kind::ALL);
    list(&mut gathered, Kind::Service, &["a"]);
    Kind::ALL[1..].iter().for_each(|kind| list(&mut gathered, *kind, &[]));
    gathered.take();
    gathered
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a moment")
}

fn refused() -> Answer {
    Answer::Missing("Connection refused".to_owned())
}

#[test]
fn nothing_is_handed_over_before_all_kinds_are_listed() {
    let mut gathered = Gatherer::new("https://api".to_owned(), &Kind::ALL);
    list(&mut gathered, Kind::Service, &["a"]);
    for kind in &Kind::ALL[1..] {
        assert!(!gathered.has_news());
        gathered.note_event(*kind, Event::Listing);
        gathered.note_event(*kind, Event::Listed);
    }
    assert!(gathered.has_news());
    let Update { changes, faults, refused, .. } = gathered.take();
    assert_eq!(changes[0], Change::Put(object(Kind::Service, "a"), None));
    let synced = changes.iter().filter(|change| matches!(change, Change::Synced(_))).count();
    assert_eq!((changes.len(), synced, faults.len(), refused.len()), (11, 10, 0, 0));
    assert!(!gathered.has_news());
}

#[test]
fn what_a_second_list_lacks_is_gone() {
    let mut gathered = synced();
    list(&mut gathered, Kind::Service, &["b", "c"]);
    gathered.take();
    gathered.note_event(Kind::Service, Event::Listing);
    gathered.note_event(Kind::Service, Event::Put(object(Kind::Service, "c"), None));
    // Only the end of the list tells.
    assert_eq!(gathered.take().changes, [Change::Put(object(Kind::Service, "c"), None)]);
    gathered.note_event(Kind::Service, Event::Listed);
    assert_eq!(gathered.take().changes, [Change::Gone(this(Kind::Service, "b"))]);
    gathered.note_event(Kind::Service, Event::Gone(this(Kind::Service, "c")));
    list(&mut gathered, Kind::Service, &[]);
    assert_eq!(gathered.take().changes, [Change::Gone(this(Kind::Service, "c"))]);
}

#[test]
fn a_list_that_begins_again_counts_from_its_second_beginning() {
    let mut gathered = synced();
    gathered.note_event(Kind::Service, Event::Listing);
    gathered.note_event(Kind::Service, Event::Put(object(Kind::Service, "b"), None));
    list(&mut gathered, Kind::Service, &["c"]);
    let gone: Vec<_> =
        gathered.take().changes.into_iter().filter(|change| matches!(change, Change::Gone(_))).collect();
    assert_eq!(gone, [Change::Gone(this(Kind::Service, "a")), Change::Gone(this(Kind::Service, "b"))]);
}

fn note_all(gathered: &mut Gatherer, answer: &Answer, now: i64) {
    Kind::ALL.iter().for_each(|kind| gathered.note_answer(*kind, answer, at(now)));
}

#[test]
fn it_is_told_since_when_the_server_is_away_and_when_it_is_back() {
    let mut gathered = synced();
    note_all(&mut gathered, &refused(), 60);
    assert!(gathered.has_news());
    let first = gathered.take().faults;
    let told = "is away since 1970-01-01 00:01:00 UTC (Connection refused); what it had stays in effect";
    assert_eq!((first.len(), first[0].message.as_str()), (1, told));
    // As long as it is away, nothing is new about it.
    note_all(&mut gathered, &Answer::Status(StatusCode::SERVICE_UNAVAILABLE), 61);
    assert!(!gathered.has_news());
    gathered.note_event(Kind::Service, Event::Put(object(Kind::Service, "b"), None));
    assert_eq!(gathered.take().faults, first);
    // Some kinds are followed again; all have to be.
    gathered.note_answer(Kind::Service, &Answer::Good, at(62));
    let rest = gathered.take().faults;
    assert_eq!((rest.len(), rest[0].object.as_str()), (9, "kind EndpointSlice"));
    assert!(rest[0].message.starts_with("is not heard of since 1970-01-01 00:01:00"), "{rest:?}");
    note_all(&mut gathered, &Answer::Good, 63);
    assert!(gathered.has_news());
    assert_eq!(gathered.take(), Update::default());
}

#[test]
fn an_agent_that_the_server_does_not_know_any_more_is_told_so() {
    let mut gathered = synced();
    note_all(&mut gathered, &Answer::Status(StatusCode::UNAUTHORIZED), 60);
    let faults = gathered.take().faults;
    assert!(faults.len() == 1 && faults[0].remedy.contains("renew the token"), "{faults:?}");
}

#[test]
fn what_cannot_be_decoded_is_not_taken_for_gone() {
    let mut gathered = synced();
    gathered.note_event(Kind::Service, Event::Listing);
    gathered.note_event(Kind::Service, Event::Undecodable("odd".to_owned()));
    gathered.note_event(Kind::Service, Event::Listed);
    let Update { changes, faults, .. } = gathered.take();
    assert!(changes.is_empty() && faults.len() == 1 && faults[0].message.contains("odd"), "{faults:?}");
    gathered.note_event(Kind::Service, Event::Listing);
    assert!(!gathered.has_news(), "until all is listed, it may still be there");
    list(&mut gathered, Kind::Service, &[]);
    let Update { changes, faults, .. } = gathered.take();
    assert_eq!((changes, faults), (vec![Change::Gone(this(Kind::Service, "a"))], vec![]));
}

#[test]
fn what_concerns_one_kind_is_told_of_that_kind() {
    let mut gathered = synced();
    gathered.note_answer(Kind::Secret, &Answer::Status(StatusCode::FORBIDDEN), at(1));
    gathered.note_answer(Kind::BgpPeer, &Answer::Status(StatusCode::NOT_FOUND), at(1));
    gathered.note_answer(Kind::Service, &Answer::Good, at(1));
    let faults = gathered.take().faults;
    let told: Vec<_> = faults.iter().map(|fault| (fault.object.as_str(), fault.remedy.as_str())).collect();
    assert_eq!(told[0].0, "kind Secret");
    assert!(told[0].1.contains("apply the Role"), "{told:?}");
    assert!(told[1].0 == "kind BgpPeer" && told[1].1.contains("trigon crds"), "{told:?}");
    gathered.note_answer(Kind::Secret, &Answer::Good, at(2));
    gathered.note_answer(Kind::BgpPeer, &Answer::Good, at(2));
    assert_eq!(gathered.take(), Update::default());
}

#[test]
fn answers_that_ask_for_another_list_are_no_faults() {
    let mut gathered = synced();
    for status in [StatusCode::GONE, StatusCode::UNPROCESSABLE_ENTITY] {
        gathered.note_answer(Kind::Service, &Answer::Status(status), at(1));
        assert!(!gathered.has_news(), "{status}");
    }
}

#[test]
fn lists_that_take_long_are_named_until_they_are_there() {
    let mut gathered = Gatherer::new("https://api".to_owned(), &Kind::ALL);
    list(&mut gathered, Kind::Service, &["a"]);
    gathered.lose_patience();
    for kind in &Kind::ALL[1..] {
        assert!(gathered.has_news());
        let Update { changes, faults, .. } = gathered.take();
        assert_eq!((changes.len(), faults.len()), (0, 1));
        assert!(
            faults[0].message.contains(kind.name()) && !faults[0].message.contains(" Service,"),
            "{faults:?}"
        );
        list(&mut gathered, *kind, &[]);
    }
    let Update { changes, faults, .. } = gathered.take();
    assert_eq!((changes.len(), faults.len()), (11, 0));
}

#[test]
fn an_object_that_cannot_be_read_is_told_of_until_it_can_or_is_gone() {
    let mut gathered = synced();
    let pool = this(Kind::AddressPool, "pool");
    let unreadable = || {
        Event::Unreadable(
            Object::Unreadable(pool.clone()),
            vec![pool.problem("spec", "is missing", "add it")],
        )
    };
    let after: [fn() -> Event; 2] = [
        || Event::Put(object(Kind::AddressPool, "pool"), None),
        || Event::Gone(this(Kind::AddressPool, "pool")),
    ];
    for after in after {
        gathered.note_event(Kind::AddressPool, unreadable());
        let update = gathered.take();
        assert_eq!(update.changes, [Change::Put(Object::Unreadable(pool.clone()), None)]);
        assert_eq!((update.faults.len(), update.refused.len()), (0, 1));
        gathered.note_event(Kind::AddressPool, after());
        assert_eq!(gathered.take().refused, []);
    }
}

/// A list is in the order of names, and what it has not told yet may be older than what it has.
#[test]
fn a_version_counts_once_all_before_it_have_been_told() {
    let mut gathered = synced();
    let put = |gathered: &mut Gatherer, name, version| {
        gathered.note_event(Kind::Service, Event::Put(object(Kind::Service, name), Some(version)));
        gathered.take().seen
    };
    assert_eq!(put(&mut gathered, "a", 7), 7);
    gathered.note_event(Kind::Node, Event::Put(object(Kind::Node, "n"), Some(9)));
    assert_eq!(gathered.take().seen, 7, "of Services");
    gathered.note_event(Kind::Service, Event::Listing);
    assert_eq!(put(&mut gathered, "a", 30), 7);
    assert_eq!(put(&mut gathered, "b", 20), 7);
    gathered.note_event(Kind::Service, Event::Listed);
    assert_eq!(gathered.take().seen, 30);

    gathered.note_event(Kind::Service, Event::Undecodable("strange".to_owned()));
    assert_eq!(put(&mut gathered, "a", 40), 30, "what is in it?");
    list(&mut gathered, Kind::Service, &["a"]);
    assert_eq!(put(&mut gathered, "a", 41), 41);
}

/// A server that was restored from a backup counts from there.
#[test]
fn a_list_may_be_older_than_what_was_told_before() {
    let mut gathered = synced();
    let put = |gathered: &mut Gatherer, name, version| {
        gathered.note_event(Kind::Service, Event::Put(object(Kind::Service, name), Some(version)));
    };
    put(&mut gathered, "a", 50);
    assert_eq!(gathered.take().seen, 50);
    gathered.note_event(Kind::Service, Event::Listing);
    put(&mut gathered, "a", 30);
    gathered.note_event(Kind::Service, Event::Listed);
    assert_eq!(gathered.take().seen, 30);
}

#[test]
fn nothing_waits_for_reports_of_agents() {
    let kinds = [Kind::Service, Kind::AgentReport];
    let mut gathered = Gatherer::<Object>::new("https://192.0.2.1".to_owned(), &kinds);
    gathered.note_answer(Kind::AgentReport, &Answer::Status(StatusCode::FORBIDDEN), at(0));
    list(&mut gathered, Kind::Service, &["a"]);
    let Update { changes, faults, .. } = gathered.take();
    assert_eq!((changes.len(), faults.len()), (2, 1), "{faults:?}");
    gathered.lose_patience();
    assert!(gathered.has_news(), "it is told that they are missing");
}
