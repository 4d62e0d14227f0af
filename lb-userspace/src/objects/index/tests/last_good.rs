//! Objects that are not good keep their last good version.

use super::*;
use crate::objects::source::file::testing::TestFiles;

const NODE: &str = "{apiVersion: v1, kind: Node, metadata: {name: node1}, \
                    status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}\n---\n";

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

#[derive(Default)]
struct Followed {
    files: TestFiles,
    index: Index,
}

impl Followed {
    /// From now on, this is there. Returns the faults.
    fn load(&mut self, text: &str) -> Vec<String> {
        let update = self.files.load(&[("f", text)]);
        assert_eq!(update.faults, []);
        self.index.apply_changes(update.changes);
        self.index.cluster();
        self.index.faults().iter().map(ToString::to_string).collect()
    }

    /// The addresses of all services, each with its name and the number of its endpoints.
    fn served(&mut self) -> Vec<String> {
        let one = |service: &model::Service| {
            let Backends::Endpoints(endpoints) = &service.backends else { panic!("bare") };
            let name = service.name.trim_start_matches("default/");
            format!("{} {name} {}", service.frontend.vip, endpoints.len())
        };
        self.index.cluster().services.values().map(|service| one(service)).collect()
    }
}

#[track_caller]
fn assert_one(told: &[String], part: &str) {
    assert!(told.len() == 1 && told[0].contains(part), "{part}: {told:#?}");
}

#[test]
fn settings_that_are_wrong_leave_the_service_as_it_was_and_its_endpoints_are_followed() {
    let mut state = Followed::default();
    let web = service("web", "192.0.2.1");
    state.load(&(web.clone() + NODE));
    let wrong = web.replace("dsr: 'true'", "dsr: 'yes'");
    assert_one(
        &state.load(&(wrong.clone() + NODE)),
        "f:1: Service default/web: metadata.annotations[trigon.dev/dsr]",
    );
    assert_eq!(state.served(), ["192.0.2.1 web 0"]);
    assert_eq!(state.load(&(wrong + &slice("web", "node1") + NODE)).len(), 1);
    assert_eq!(state.served(), ["192.0.2.1 web 1"]);
}

#[test]
fn an_endpoint_that_is_wrong_leaves_its_slice_as_it_was() {
    let mut state = Followed::default();
    let text = service("web", "192.0.2.1") + &slice("web", "node1") + NODE;
    assert_eq!(state.load(&text), [""; 0]);
    assert_one(&state.load(&text.replace("nodeName: node1", "nodeName: nod1")), "there is no Node `nod1`");
    assert_eq!(state.served(), ["192.0.2.1 web 1"]);
    // Whose fault it is does not matter: this slice is not for bare servers, whose port is the Service's.
    let other_port = text.replace("ports: [{port: 80}], endpoints", "ports: [{port: 81}], endpoints");
    assert_eq!(state.load(&other_port), [""; 0]);
    let bare = other_port.replace("dsr: 'true'", "dsr: 'true', trigon.dev/backends: bare");
    assert_one(&state.load(&bare), "81 is not the port of the Service");
    assert_eq!(state.served(), ["192.0.2.1 web 1"]);
}

/// What Kubernetes allows, and Trigon leaves out, holds up nothing: all of it here, and an endpoint more.
#[test]
fn what_is_left_out_holds_up_nothing() {
    let mut state = Followed::default();
    let (web, one) = (service("web", "192.0.2.1"), slice("web", "node1"));
    assert_eq!(state.load(&(web.clone() + &one + NODE)), [""; 0]);
    let two = one.replace("endpoints: [", "endpoints: [{addresses: [10.1.0.2], nodeName: node1}, ");
    let names = slice("names", "node1").replace("name: names}", "name: web}").replace("IPv4", "FQDN");
    let news = "trigon.dev/news: a";
    let cases = [
        (web.replace("{port: 80}", "{port: 80}, {name: s, port: 81, protocol: SCTP}") + &two + NODE, "SCTP"),
        (
            web.clone() + &two.replace("{port: 80}", "{port: 80}, {name: s, port: 9, protocol: SCTP}") + NODE,
            "SCTP",
        ),
        (web.clone() + &two.replace("{port: 80}", "{port: 80}, {name: all}") + NODE, "would mean all ports"),
        (
            web.clone() + &two.replace("endpoints: [", "endpoints: [{addresses: [10.1.0.9]}, ") + NODE,
            "nodeName: is missing",
        ),
        (web.clone() + &two + &names + NODE, "`FQDN` has no meaning"),
        (web.replace("{trigon.dev", &format!("{{{news}, trigon.dev")) + &two + NODE, "unknown annotation"),
        (
            web.clone() + &two + &NODE.replace("node1}", &format!("node1, annotations: {{{news}}}}}")),
            "unknown annotation",
        ),
    ];
    for (text, said) in cases {
        assert_one(&state.load(&text), said);
        assert!(state.index.faults()[0].left_out);
        assert_eq!(state.served(), ["192.0.2.1 web 2"], "{said}");
        assert_eq!(state.load(&(web.clone() + &one + NODE)), [""; 0]);
        assert_eq!(state.served(), ["192.0.2.1 web 1"], "{said}");
    }
}

#[test]
fn no_address_of_a_node_becomes_a_vip() {
    let mut state = Followed::default();
    // Tunnels end at the other address.
    let node = NODE
        .replace("{name: node1}", "{name: node1, annotations: {trigon.dev/node-address: 10.0.9.1}}")
        .replace("}]}}", "}, {type: ExternalIP, address: 192.0.2.9}, {type: Hostname, address: node1}]}}");
    assert_eq!(state.load(&node), [""; 0]);
    for address in ["10.0.0.1", "10.0.9.1", "192.0.2.9"] {
        let told = state.load(&(service("web", address) + &node));
        assert_one(&told, &format!("{address} is the address of Node node1"));
        assert_eq!(state.served(), [""; 0]);
    }
    // A VIP stays one, though a machine has it on an interface.
    let bare = NODE.replace("10.0.0.1", "10.0.0.7");
    assert_eq!(state.load(&(service("web", "192.0.2.9") + &bare)), [""; 0]);
    assert_eq!(state.load(&(service("web", "192.0.2.9") + &node)), [""; 0]);
    assert_eq!(state.served(), ["192.0.2.9 web 0"]);
    // Until it is given up.
    assert_eq!(state.load(&(service("web", "192.0.2.8") + &node)), [""; 0]);
    let told = state.load(&(service("web", "192.0.2.8") + &service("other", "192.0.2.9") + &node));
    assert_one(
        &told,
        "Service default/other: status.loadBalancer.ingress[0].ip: 192.0.2.9 is the address of Node",
    );
}

#[test]
fn what_was_never_good_is_used_as_far_as_it_is() {
    let mut state = Followed::default();
    let two = slice("web", "node1")
        .replace("endpoints: [", "endpoints: [{addresses: [10.1.0.2], nodeName: lost}, ");
    assert_one(&state.load(&(service("web", "192.0.2.1") + &two + NODE)), "there is no Node `lost`");
    assert_eq!(state.served(), ["192.0.2.1 web 1"]);
}

#[test]
fn an_address_stays_with_the_service_that_has_it() {
    let mut state = Followed::default();
    let web = service("web", "192.0.2.1");
    assert_eq!(state.load(&web), [""; 0]);
    // By its name, it would be first.
    let told = state.load(&(service("aaa", "192.0.2.1") + &web + &service("other", "192.0.2.3")));
    assert_one(
        &told,
        "f:1: Service default/aaa: status.loadBalancer.ingress[0].ip: tcp 192.0.2.1:80 belongs to Service default/web already",
    );
    assert_eq!(state.served(), ["192.0.2.1 web 0", "192.0.2.3 other 0"]);
    assert_eq!(state.load(&(service("aaa", "192.0.2.1") + &service("other", "192.0.2.3"))), [""; 0]);
    assert_eq!(state.served(), ["192.0.2.1 aaa 0", "192.0.2.3 other 0"], "it is free");
}

#[test]
fn who_moves_to_an_address_that_another_has_stays_where_it_was() {
    let mut state = Followed::default();
    let (a, b) = (service("a", "192.0.2.1"), service("b", "192.0.2.2"));
    state.load(&(a.clone() + &b));
    assert_one(
        &state.load(&(service("a", "192.0.2.2") + &b)),
        "tcp 192.0.2.2:80 belongs to Service default/b",
    );
    assert_eq!(state.served(), ["192.0.2.1 a 0", "192.0.2.2 b 0"]);
    // Nor can a third one get what it gave up, and has kept.
    let told = state.load(&(service("a", "192.0.2.2") + &b + &service("c", "192.0.2.1")));
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(state.served(), ["192.0.2.1 a 0", "192.0.2.2 b 0"]);
    // Now all can move.
    let round = service("a", "192.0.2.2") + &service("b", "192.0.2.3") + &service("c", "192.0.2.1");
    assert_eq!(state.load(&round), [""; 0]);
    assert_eq!(state.served(), ["192.0.2.1 c 0", "192.0.2.2 a 0", "192.0.2.3 b 0"]);
    let swapped = service("a", "192.0.2.1") + &service("b", "192.0.2.3") + &service("c", "192.0.2.2");
    assert_eq!(state.load(&swapped), [""; 0]);
    assert_eq!(state.served(), ["192.0.2.1 a 0", "192.0.2.2 c 0", "192.0.2.3 b 0"]);
}

#[test]
fn a_node_that_is_gone_stays_while_it_has_endpoints() {
    let mut state = Followed::default();
    let web = service("web", "192.0.2.1");
    state.load(&(web.clone() + &slice("web", "node1") + NODE));
    assert_one(
        &state.load(&(web.clone() + &slice("web", "node1"))),
        "Node node1: metadata.name: is gone, but has endpoints",
    );
    assert_eq!((state.served(), state.index.cluster().nodes.len()), (vec!["192.0.2.1 web 1".to_owned()], 1));
    assert_eq!(state.load(&web), [""; 0]);
    assert_eq!((state.served(), state.index.cluster().nodes.len()), (vec!["192.0.2.1 web 0".to_owned()], 0));
}

#[test]
fn an_address_stays_with_the_node_that_has_it() {
    let mut state = Followed::default();
    let node = |name: &str, address: &str| NODE.replace("node1", name).replace("10.0.0.1", address);
    state.load(&(node("b", "10.0.0.1") + &node("c", "10.0.0.2")));
    let told = state.load(&(node("a", "10.0.0.1") + &node("b", "10.0.0.1") + &node("c", "10.0.0.1")));
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told.iter().all(|line| line.contains("10.0.0.1 is also the address of Node b")), "{told:#?}");
    let addresses = |state: &mut Followed| -> Vec<String> {
        state
            .index
            .cluster()
            .nodes
            .values()
            .map(|node| format!("{} {}", node.name, node.addresses[0]))
            .collect()
    };
    assert_eq!(addresses(&mut state), ["b 10.0.0.1", "c 10.0.0.2"]);
    assert_eq!(state.load(&(node("b", "10.0.0.2") + &node("c", "10.0.0.1"))), [""; 0], "they swap");
    assert_eq!(addresses(&mut state), ["b 10.0.0.2", "c 10.0.0.1"]);
}

#[test]
fn a_node_that_gets_the_address_of_a_vip_stays_as_it_was() {
    let mut state = Followed::default();
    let web = service("web", "192.0.2.1") + &slice("web", "node1");
    state.load(&(web.clone() + NODE));
    let moved = NODE.replace("10.0.0.1", "192.0.2.1");
    assert_one(
        &state.load(&(web.clone() + &moved)),
        "Node node1: status.addresses: 192.0.2.1 is a VIP of Service default/web",
    );
    assert_eq!(state.served(), ["192.0.2.1 web 1"]);
    let both = service("web", "192.0.2.2") + &slice("web", "node1") + &moved;
    assert_eq!(state.load(&both), [""; 0]);
    assert_eq!(state.served(), ["192.0.2.2 web 1"]);
}

#[test]
fn what_is_held_back_holds_back_nothing_else() {
    let mut state = Followed::default();
    let (a, b) = (service("a", "192.0.2.1"), service("b", "192.0.2.2"));
    state.load(&(a + &b + &slice("a", "node1") + NODE));
    // It stays at its address, and its endpoints are followed.
    let moved = service("a", "192.0.2.2") + &b;
    assert_eq!(state.load(&(moved.clone() + &slice("a", "node1") + NODE)).len(), 1);
    let two =
        slice("a", "node1").replace("endpoints: [", "endpoints: [{addresses: [10.1.0.2], nodeName: node1}, ");
    assert_eq!(state.load(&(moved.clone() + &two + NODE)).len(), 1);
    assert_eq!(state.served(), ["192.0.2.1 a 2", "192.0.2.2 b 0"]);
    // Nor does a slice that is wrong hold back another one.
    let other = slice("a", "node1").replace("{name: a, ", "{name: other, ").replace("10.1.0.1", "10.1.0.9");
    let wrong = slice("a", "lost");
    assert_eq!(state.load(&(moved + &wrong + &other + NODE)).len(), 2);
    assert_eq!(state.served(), ["192.0.2.1 a 3", "192.0.2.2 b 0"]);
}

#[test]
fn a_slice_is_not_used_without_the_service_that_it_is_for() {
    let mut state = Followed::default();
    let text = service("web", "192.0.2.1") + &slice("web", "node1") + NODE;
    let text = text.replace("{port: 80}", "{name: http, port: 80}");
    assert_eq!(state.load(&text), [""; 0]);
    let renamed = text.replace("name: http", "name: web");
    assert_eq!(state.load(&renamed.replace("dsr: 'true'", "dsr: 'yes'")).len(), 1);
    assert_eq!(state.served(), ["192.0.2.1 web 1"]);
    assert_eq!(state.load(&renamed), [""; 0]);
    assert_eq!(state.served(), ["192.0.2.1 web 1"]);
}

#[test]
fn a_node_stays_while_an_endpoint_in_effect_is_on_it() {
    let mut state = Followed::default();
    let web = service("web", "192.0.2.1");
    state.load(&(web.clone() + &slice("web", "node1") + NODE));
    let renamed = NODE.replace("name: node1", "name: node01").replace("10.0.0.1", "10.0.0.2");
    let told = state.load(&(web.clone() + &slice("web", "nod01") + &renamed));
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(state.served(), ["192.0.2.1 web 1"]);
    assert_eq!(state.load(&(web + &slice("web", "node01") + &renamed)), [""; 0]);
    assert_eq!((state.served(), state.index.cluster().nodes.len()), (vec!["192.0.2.1 web 1".to_owned()], 1));
}

/// Who loses only to one that does not get it either, gets it.
#[test]
fn a_loser_takes_nothing_from_others() {
    let mut state = Followed::default();
    state.load(&(service("a", "192.0.2.1") + &service("b", "192.0.2.2") + &service("c", "192.0.2.3")));
    let both = service("a", "192.0.2.9").replace("[{ip: 192.0.2.9}]", "[{ip: 192.0.2.9}, {ip: 192.0.2.3}]");
    let told = state.load(&(both + &service("b", "192.0.2.9") + &service("c", "192.0.2.3")));
    assert_one(
        &told,
        "Service default/a: status.loadBalancer.ingress[1].ip: tcp 192.0.2.3:80 belongs to Service default/c",
    );
    assert_eq!(state.served(), ["192.0.2.1 a 0", "192.0.2.3 c 0", "192.0.2.9 b 0"]);
}

#[test]
fn a_node_that_asks_for_more_keeps_what_it_has() {
    let mut state = Followed::default();
    let node = |name: &str, addresses: &str| {
        let all = addresses.split(' ').map(|address| format!("{{type: InternalIP, address: '{address}'}}"));
        let all = all.collect::<Vec<_>>().join(", ");
        NODE.replace("node1", name).replace("{type: InternalIP, address: 10.0.0.1}", &all)
    };
    state.load(&node("b", "10.0.0.1"));
    assert_eq!(state.load(&(node("a", "10.0.0.1") + &node("b", "10.0.0.1"))).len(), 1);
    let told = state.load(&(node("a", "10.0.0.1") + &node("b", "10.0.0.1 2001:db8::1")));
    assert_one(&told, "Node a: status.addresses: 10.0.0.1 is also the address of Node b");
    assert_eq!(state.index.cluster().nodes["b"].addresses.len(), 2);
    assert!(!state.index.cluster().nodes.contains_key("a"));
}
