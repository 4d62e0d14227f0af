use proptest::prelude::*;

use super::*;
use crate::objects::{
    model::Backends,
    source::file::{read_text, read_texts},
    translate::TranslateConfig,
};

const NODE: &str = "{apiVersion: v1, kind: Node, metadata: {name: node1}, \
                    status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}\n";

/// A Service at this address.
fn service(name: &str, vip: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, annotations: {{trigon.dev/dsr: 'true'}}}}, \
         spec: {{type: LoadBalancer, loadBalancerClass: trigon.dev/lb, ports: [{{port: 80}}]}}, \
         status: {{loadBalancer: {{ingress: [{{ip: {vip}}}]}}}}}}\n---\n"
    )
}

/// Its endpoint, on a Node.
fn slice(name: &str, node: &str) -> String {
    format!(
        "{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, \
         metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}, ports: [{{port: 80}}], \
         endpoints: [{{addresses: [10.1.0.1], nodeName: {node}}}]}}\n---\n"
    )
}

/// The addresses of all services, each with the number of its endpoints.
fn served(state: &LastGood) -> Vec<String> {
    let one = |service: &crate::objects::model::Service| {
        let Backends::Endpoints(endpoints) = &service.backends else { panic!("bare") };
        format!("{} {}", service.frontend.vip, endpoints.len())
    };
    state.cluster().services.values().map(|service| one(service)).collect()
}

fn take(state: &mut LastGood, files: &[(&str, &str)]) -> Vec<String> {
    state.take(read_texts(files)).iter().map(ToString::to_string).collect()
}

const BROKEN: &str = "{ no YAML";

#[test]
fn a_broken_file_neither_blocks_nor_takes_back_others() {
    let mut state = LastGood::default();
    let (a, b) = (service("a", "192.0.2.1"), service("b", "192.0.2.2"));
    assert_eq!(take(&mut state, &[("a", &a), ("b", &b), ("n", NODE)]), [""; 0]);
    let more = slice("b", "node1") + &b;
    let told = take(&mut state, &[("a", BROKEN), ("b", &more), ("n", NODE)]);
    assert!(told.len() == 1 && told[0].starts_with("a:2: file a: syntax"), "{told:?}");
    assert_eq!(served(&state), ["192.0.2.1 0", "192.0.2.2 1"], "a keeps its version, b has a new one");
    // A new file that is broken is not there.
    let told = take(&mut state, &[("a", &a), ("b", &more), ("c", BROKEN), ("n", NODE)]);
    assert!(told.len() == 1 && told[0].starts_with("c:2:"), "{told:?}");
    assert_eq!(take(&mut state, &[("b", &more), ("n", NODE)]), [""; 0]);
    assert_eq!(served(&state), ["192.0.2.2 1"]);
}

#[test]
fn a_conflict_is_blamed_on_the_newer_object() {
    let mut state = LastGood::default();
    let old = service("web", "192.0.2.1");
    assert_eq!(take(&mut state, &[("m", &old), ("n", NODE)]), [""; 0]);
    // By its name, it would be first.
    let new = service("aaa", "192.0.2.1");
    let other = service("other", "192.0.2.3");
    let told = take(&mut state, &[("a", &new), ("m", &old), ("n", NODE), ("o", &other)]);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("Service default/aaa") && told[0].contains("default/web already"), "{told:?}");
    assert_eq!(served(&state), ["192.0.2.1 0", "192.0.2.3 0"]);
    assert_eq!(&*state.cluster().services.values().next().unwrap().name, "default/web");
    let elsewhere = service("aaa", "192.0.2.2");
    assert_eq!(take(&mut state, &[("a", &elsewhere), ("m", &old), ("n", NODE), ("o", &other)]), [""; 0]);
    assert_eq!(served(&state).len(), 3);
}

#[test]
fn an_object_in_two_files_stays_as_the_older_one_has_it() {
    let mut state = LastGood::default();
    let (one, two) = (service("web", "192.0.2.1"), service("web", "192.0.2.2"));
    take(&mut state, &[("b", &one), ("n", NODE)]);
    let told = take(&mut state, &[("a", &two), ("b", &one), ("n", NODE)]);
    assert!(told.len() == 1 && told[0].contains("is there twice"), "{told:?}");
    assert_eq!(served(&state), ["192.0.2.1 0"]);
    assert_eq!(take(&mut state, &[("a", &two), ("n", NODE)]), [""; 0], "the file was renamed, in effect");
    assert_eq!(served(&state), ["192.0.2.2 0"]);
}

#[test]
fn what_others_refer_to_stays() {
    let mut state = LastGood::default();
    let web = service("web", "192.0.2.1") + &slice("web", "node1");
    take(&mut state, &[("n", NODE), ("w", &web)]);
    let told = take(&mut state, &[("w", &web)]);
    assert!(told.len() == 1 && told[0].contains("there is no Node `node1`"), "{told:?}");
    assert_eq!((served(&state), state.cluster().nodes.len()), (vec!["192.0.2.1 1".to_owned()], 1));
}

#[test]
fn a_directory_without_files_is_not_believed_if_there_were_some() {
    let mut state = LastGood::default();
    assert_eq!(take(&mut state, &[]), [""; 0], "there were none");
    take(&mut state, &[("w", &service("web", "192.0.2.1"))]);
    let told = take(&mut state, &[]);
    assert!(told.len() == 1 && told[0].contains("there is no file any more"), "{told:?}");
    assert_eq!(served(&state).len(), 1);
    assert_eq!(take(&mut state, &[("none", "")]), [""; 0], "that is meant");
    assert_eq!(served(&state), [""; 0]);
    let mut restarted = LastGood::new(Index::default(), true);
    assert!(take(&mut restarted, &[])[0].contains("there is no file any more"));
    assert!(!restarted.has_been_good());
}

#[test]
fn at_the_start_all_files_have_to_be_good() {
    let mut state = LastGood::default();
    let web = service("web", "192.0.2.1");
    assert_eq!(take(&mut state, &[("a", BROKEN), ("w", &web)]).len(), 1);
    let twice = service("other", "192.0.2.1");
    assert_eq!(take(&mut state, &[("a", &twice), ("w", &web)]).len(), 1);
    assert!(!state.has_been_good() && served(&state).is_empty());
    assert_eq!(take(&mut state, &[("w", &web)]), [""; 0]);
    assert!(state.has_been_good());
}

#[test]
fn a_directory_that_cannot_be_listed_changes_nothing() {
    let mut state = LastGood::default();
    take(&mut state, &[("w", &service("web", "192.0.2.1"))]);
    let problems = read_text(BROKEN).unwrap_err();
    assert_eq!(state.take(Err(problems.clone())), problems);
    assert_eq!(served(&state).len(), 1);
}

/// A file: what it has is good by itself, mostly.
fn file() -> impl Strategy<Value = String> {
    let node = Just(NODE.to_owned());
    let service = ("[ab]", 1..4u8).prop_map(|(name, vip)| service(&name, &format!("192.0.2.{vip}")));
    let node_name = prop_oneof![3 => Just("node1"), 1 => Just("lost")];
    let slice = ("[ab]", node_name).prop_map(|(name, node)| slice(&name, node));
    prop_oneof![3 => service, 2 => slice, 2 => node, 1 => Just(BROKEN.to_owned()), 1 => Just(String::new())]
}

proptest! {
    /// What is in effect is always what a start with the files in effect would have; if there is no
    /// problem, those are the files that are there.
    #[test]
    fn what_is_in_effect_is_good_together(
        loads in proptest::collection::vec(proptest::collection::btree_map("[p-s]", file(), 0..4), 1..12),
    ) {
        let mut state = LastGood::default();
        for files in loads {
            let texts: Vec<_> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
            let found = read_texts(&texts);
            // As from a reader: a file that is the same is the same `Arc`.
            let found: Files = found.unwrap().into_iter().map(|(path, now)| {
                let same = state.files.get(&path).filter(|last| ***last == *now).cloned();
                (path, same.unwrap_or(now))
            }).collect();
            let problems = state.take(Ok(found.clone()));
            if problems.is_empty() {
                prop_assert_eq!(&state.files, &found);
            } else if state.has_been_good {
                prop_assert!(state.files != found);
            }
            if !state.has_been_good {
                continue;
            }
            let mut fresh = LastGood::new(Index::new(TranslateConfig::default()), false);
            prop_assert_eq!(fresh.take(Ok(state.files.clone())), vec![]);
            prop_assert_eq!(&**fresh.cluster(), &**state.cluster());
        }
    }
}
