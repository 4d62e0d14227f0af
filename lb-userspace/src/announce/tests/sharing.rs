//! Services that share a VIP.

use super::*;

const SHARED: &str = "192.0.2.77";
const KEY: &str = "trigon.dev/allow-shared-ip: mail";

/// A Service on [`SHARED`]; `annotations` and `spec` end with commas.
fn sharer(name: &str, annotations: &str, spec: &str, endpoints: &[(&str, bool)]) -> String {
    let text = service(name, &[SHARED], spec, endpoints);
    let port = 1000 + name.bytes().map(usize::from).sum::<usize>();
    let text = text.replace("{name: p, port: 80}]}", &format!("{{name: p, port: {port}}}]}}"));
    text.replace(
        &format!("name: {name}, labels: {{app"),
        &format!("name: {name}, annotations: {{{annotations}}}, labels: {{app"),
    )
}

fn cluster_of_sharers(services: &[String]) -> Cluster {
    cluster_of(&format!("{WORLD}{}{}", services.concat(), bgp_advertisement("all", "")))
}

fn announcing_nodes(cluster: &Cluster) -> Vec<&'static str> {
    let nodes = ["director1", "director2", "node1", "node2"].into_iter();
    nodes
        .filter(|node| {
            let carried = if node.starts_with("director") { [ip(SHARED)].into() } else { BTreeSet::new() };
            let plan = plan(cluster, &identity(node), &carried, Leaving::No);
            route_lines(&plan).iter().any(|route| route == &format!("router1 {SHARED}/32"))
        })
        .collect()
}

fn problem_lines(cluster: &Cluster) -> Vec<String> {
    let all = sharing_problems(cluster).into_iter().chain(silent_vip_problems(cluster));
    all.map(|problem| format!("{}: {}: {}", problem.object, problem.field, problem.message)).collect()
}

/// One of two Services: what its spec says, and its endpoints.
type Half = (&'static str, &'static [(&'static str, bool)]);

const ALL: [&str; 4] = ["director1", "director2", "node1", "node2"];
const LOCAL_POLICY: &str = "externalTrafficPolicy: Local, ";
const SAME_PODS: &str = "externalTrafficPolicy: Local, selector: {app: both}, ";

#[test]
fn a_shared_vip_is_announced_where_all_of_its_services_are_served() {
    const ONE: (&str, bool) = ("node1", true);
    const TWO: (&str, bool) = ("node2", true);
    const DEAD: (&str, bool) = ("node2", false);
    let dsr = format!("{KEY}, trigon.dev/dsr: 'true'");
    let cluster_policy = "selector: {app: both}, ";
    let table: &[(&str, Half, Half, &[&str])] = &[
        // Both Cluster
        (KEY, ("", &[ONE]), ("", &[TWO]), &ALL),
        // A Service that has no endpoint on any node does not restrict the nodes.
        (KEY, ("", &[ONE]), ("", &[DEAD]), &ALL),
        // The same Pods
        (KEY, (SAME_PODS, &[ONE, TWO]), (SAME_PODS, &[ONE, TWO]), &["node1", "node2"]),
        (KEY, (SAME_PODS, &[ONE, TWO]), (SAME_PODS, &[TWO]), &["node2"]),
        (KEY, (SAME_PODS, &[ONE]), (SAME_PODS, &[DEAD]), &["node1"]),
        (KEY, (SAME_PODS, &[ONE, TWO]), (cluster_policy, &[ONE]), &["node1", "node2"]),
        // In the data path, and not
        (&dsr, ("", &[ONE]), ("", &[TWO]), &["director1", "director2"]),
    ];
    for (annotations, first, second, expected) in table {
        let services = [sharer("a", annotations, first.0, first.1), sharer("b", KEY, second.0, second.1)];
        let cluster = cluster_of_sharers(&services);
        assert_eq!(announcing_nodes(&cluster), *expected, "{services:?}");
        assert_eq!(problem_lines(&cluster), [""; 0]);
    }
}

#[test]
fn services_that_no_node_serves_together_are_a_problem() {
    let services =
        [sharer("a", KEY, SAME_PODS, &[("node1", true)]), sharer("b", KEY, SAME_PODS, &[("node2", true)])];
    let cluster = cluster_of_sharers(&services);
    assert_eq!(announcing_nodes(&cluster), [""; 0]);
    let expected = "Service default/a: status.loadBalancer.ingress: 192.0.2.77 is announced by nobody: no node can \
                    serve all of its Services (default/a, default/b)";
    assert_eq!(problem_lines(&cluster), [expected]);
}

#[test]
fn a_service_that_cannot_share_is_a_problem_and_the_first_keeps_the_vip() {
    let keys = "192.0.2.77 belongs to Service default/a already, and they do not both say that they share it";
    let pods = "192.0.2.77 belongs to Service default/a already, and one of the two is `Local`";
    let other_key = "trigon.dev/allow-shared-ip: other";
    let table = [
        ("", "", "", "", "metadata.annotations[trigon.dev/allow-shared-ip]", keys),
        (KEY, "", "", "", "metadata.annotations[trigon.dev/allow-shared-ip]", keys),
        (KEY, "", other_key, "", "metadata.annotations[trigon.dev/allow-shared-ip]", keys),
        (KEY, LOCAL_POLICY, KEY, LOCAL_POLICY, "spec.externalTrafficPolicy", pods),
        (KEY, LOCAL_POLICY, KEY, "", "spec.externalTrafficPolicy", pods),
        (KEY, "", KEY, LOCAL_POLICY, "spec.externalTrafficPolicy", pods),
    ];
    for (annotations, policy, other_annotations, other_policy, field, message) in table {
        let first = sharer("a", annotations, policy, &[("node1", true)]);
        let second = sharer("b", other_annotations, other_policy, &[("node2", true)]);
        let cluster = cluster_of_sharers(&[first.clone(), second]);
        let found = problem_lines(&cluster);
        assert!(found.len() == 1, "{found:?}");
        assert!(found[0].starts_with(&format!("Service default/b: {field}: {message}")), "{found:?}");
        assert_eq!(
            announcing_nodes(&cluster),
            announcing_nodes(&cluster_of_sharers(&[first])),
            "{policy} {other_policy}"
        );
    }
}

#[test]
fn the_older_service_keeps_the_vip() {
    let first = sharer("b", "", "", &[("node1", true)]).replacen(
        "name: b, ",
        "name: b, creationTimestamp: '2026-01-01T00:00:00Z', ",
        1,
    );
    let second = sharer("a", "", "", &[("node2", true)]).replacen(
        "name: a, ",
        "name: a, creationTimestamp: '2026-01-02T00:00:00Z', ",
        1,
    );
    let found = problem_lines(&cluster_of_sharers(&[second, first]));
    assert!(found[0].starts_with("Service default/a: ") && found.len() == 1, "{found:?}");
}

#[test]
fn annotations_of_metallb_allow_sharing_too() {
    let names = ["metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"];
    for name in names {
        let one = sharer("a", &format!("{name}: mail"), "", &[("node1", true)]);
        let other = sharer("b", KEY, "", &[("node1", true)]);
        assert_eq!(problem_lines(&cluster_of_sharers(&[one, other])), [""; 0], "{name}");
    }
}

#[test]
fn without_advertisements_there_are_no_sharing_problems() {
    let services = [sharer("a", "", "", &[]), sharer("b", "", "", &[])];
    assert_eq!(problem_lines(&cluster_of(&format!("{WORLD}{}", services.concat()))), [""; 0]);
}
