use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn examples_dir() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/examples")
}

fn check_text(text: &str) -> CheckReport {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a.yaml"), text).unwrap();
    let mut report = check_directory(dir.path(), TranslateConfig::default(), None);
    for problem in report.problems.iter_mut().chain(&mut report.warnings) {
        let location = problem.location.take().unwrap();
        problem.location = Some(location.rsplit('/').next().unwrap().into());
    }
    report
}

#[test]
fn the_examples_are_good() {
    let report = check_directory(&examples_dir(), TranslateConfig::default(), None);
    assert_eq!((&report.problems, &report.warnings), (&vec![], &vec![]));
    assert_eq!((report.services, report.endpoints, report.nodes), (5, 11, 5));
    assert!(render_report(&report).ends_with(
        "5 services, 11 endpoints, 5 nodes, 5 VIPs, 2 BGP peers, 3 advertisements; 0 problems, 0 warnings\n"
    ));
}

#[test]
fn a_network_that_is_too_narrow_is_a_warning() {
    let warnings = |mtu| check_directory(&examples_dir(), TranslateConfig::default(), Some(mtu)).warnings;
    assert_eq!(warnings(1568), []);
    let told: Vec<_> = warnings(1500).iter().map(ToString::to_string).collect();
    let web = "Service default/web: --mtu: encapsulation takes up to 48 of 1500 bytes: IPv4 clients are told to send at most 1452; \
               raise the MTU between directors and backends to 1548";
    assert!(told.iter().any(|warning| warning.ends_with(web)), "{told:#?}");
    assert!(!told.iter().any(|warning| warning.contains("1280")), "{told:#?}");
    let told: Vec<_> = warnings(1300).iter().map(ToString::to_string).collect();
    assert!(
        told.iter().any(|warning| warning.contains("IPv6 clients") && warning.contains("1280")),
        "{told:#?}"
    );
}

#[test]
fn a_directory_that_is_missing_or_has_nothing_is_a_problem() {
    let missing = check_directory(Path::new("/does/not/exist"), TranslateConfig::default(), None);
    assert!(!missing.is_good());
    assert!(missing.problems[0].to_string().starts_with("/does/not/exist: directory exist: path: "));
    assert!(!missing.problems[0].remedy.is_empty());

    let dir = TempDir::new().unwrap();
    for _ in 0..2 {
        let empty = check_directory(dir.path(), TranslateConfig::default(), None);
        assert!(!empty.is_good());
        assert!(
            render_report(&empty).contains("contents: no objects in it; add .yaml, .yml or .json files with")
        );
        fs::write(dir.path().join("a.yaml"), "# nothing\n---\n").unwrap();
    }
}

#[test]
fn what_is_valid_but_not_meant_is_a_warning() {
    let text = fs::read_to_string(examples_dir().join("web.yaml")).unwrap()
        + "---\n"
        + &fs::read_to_string(examples_dir().join("nodes.yaml")).unwrap();
    let table = [
        (
            "  loadBalancerClass: trigon.dev/lb\n",
            "",
            "a.yaml:13: Service default/web: spec.loadBalancerClass: not trigon.dev/lb: trigon.dev/dsr has no effect; \
             write trigon.dev/lb",
        ),
        (
            "type: LoadBalancer",
            "type: NodePort",
            "a.yaml:14: Service default/web: spec.type: not LoadBalancer: trigon.dev/dsr has no effect; write",
        ),
        (
            "    - ip: 192.0.2.80\n    - ip: \"2001:db8::80\"",
            "      []",
            "a.yaml:22: Service default/web: status.loadBalancer.ingress: there is no ip: nobody can connect; add",
        ),
        (
            "kubernetes.io/service-name: web",
            "kubernetes.io/service-name: wbe",
            "a.yaml:33: EndpointSlice default/web-ipv4: metadata.labels[kubernetes.io/service-name]: there is no Service \
             default/wbe; correct",
        ),
        (
            "    kubernetes.io/service-name: web\n",
            "    x: y\n",
            "a.yaml:32: EndpointSlice default/web-ipv4: metadata.labels[kubernetes.io/service-name]: is missing: it \
             belongs to no Service; add",
        ),
        (
            "- name: http\n  port: 8080\nendpoints:\n- addresses: [\"fd44:1::10\"]",
            "- name: other\n  port: 8080\nendpoints:\n- addresses: [\"fd44:1::10\"]",
            "a.yaml:16: Service default/web: spec.ports: tcp [2001:db8::80]:80 has no endpoint that takes new connections; add an \
             EndpointSlice with the Service's label, addressType IPv6",
        ),
        (
            "spec:\n  type: LoadBalancer",
            "spec:\n  loadBalancerSourceRanges: [10.0.0.0/8]\n  type: LoadBalancer",
            "a.yaml:14: Service default/web: spec.loadBalancerSourceRanges: has no IPv6 range: all IPv6 clients are \
             admitted to 2001:db8::80, as by kube-proxy; add the IPv6 ranges that are meant, or ::/0",
        ),
    ];
    for (from, to, expected) in table {
        assert!(text.contains(from), "{from}");
        let report = check_text(&text.replacen(from, to, 1));
        assert_eq!(report.problems, [], "{to}");
        let found: Vec<_> = report.warnings.iter().map(|warning| warning.to_string()).collect();
        assert!(
            found.iter().any(|warning| warning.starts_with(expected)),
            "\n   found: {found:#?}\nexpected: {expected}"
        );
        assert!(render_report(&report).contains(&format!("warning: {}", report.warnings[0])));
    }
}

proptest! {
    #[test]
    fn bytes_never_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("a.yaml"), bytes).unwrap();
        render_report(&check_directory(dir.path(), TranslateConfig::default(), None));
    }

    #[test]
    fn damaged_examples_never_make_it_panic(
        name in prop::sample::select(vec!["bare.yaml", "bgp.yaml", "dns.yaml", "l2.yaml", "nodes.yaml", "web.yaml"]),
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, "(?s).{0,3}|[0-9:.\\[\\]{}&*\n -]{1,8}"), 1..6),
    ) {
        let mut text: Vec<char> = fs::read_to_string(examples_dir().join(name)).unwrap().chars().collect();
        for (at, length, with) in damages {
            let start = at.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, with.chars());
        }
        let report = check_text(&text.into_iter().collect::<String>());
        for problem in report.problems.iter().chain(&report.warnings) {
            let parts = [&problem.object, &problem.field, &problem.message, &problem.remedy];
            prop_assert!(parts.iter().all(|part| !part.is_empty()), "{problem:?}");
            prop_assert!(problem.location.is_some(), "{problem:?}");
        }
    }
}

#[test]
fn problems_and_warnings_of_announcements_are_reported() {
    let text = ["bgp.yaml", "l2.yaml", "nodes.yaml", "web.yaml"]
        .map(|name| fs::read_to_string(examples_dir().join(name)).unwrap())
        .join("---\n");
    let good = check_text(&text);
    assert_eq!((&good.problems, &good.warnings), (&vec![], &vec![]));
    let bad = check_text(
        &text
            .replace("peerASN: 64513", "peerASN: 64513\n  dynamicASN: internal")
            .replace("interfaces: [eth0]", "interfacse: [eth0]"),
    );
    let told: Vec<_> = bad.problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:#?}");
    let unknown =
        "L2Advertisement default/office: spec.interfacse: unknown field; did you mean `interfaces`?";
    assert!(told[0].ends_with(unknown), "{told:#?}");
    assert!(
        told[1].contains("BgpPeer default/router1: spec.dynamicASN: there is a peerASN, too"),
        "{told:#?}"
    );
    assert_eq!((bad.services, bad.vips, bad.bgp_peers, bad.advertisements), (2, 3, 1, 2));

    let left_out = check_text(&text.replace("ip: 192.0.2.80", "ip: 203.0.113.80"));
    let told: Vec<_> = left_out.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    let expected = "Service default/web: status.loadBalancer.ingress: 203.0.113.80 is announced by nobody: it is in no \
                    AddressPool, and every advertisement chooses pools; add";
    assert!(told[0].contains(expected), "{told:#?}");
}
