use std::{
    fs::{self, File},
    os::unix::fs::symlink,
    path::Path,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{read::MAX_FILE, *};
use crate::objects::model::Problem;

pub fn object_names(loaded: &Listing) -> Vec<String> {
    loaded.objects.iter().map(|located| located.object.object_ref().to_string()).collect()
}

fn problem_lines(result: Result<Listing, Vec<Problem>>) -> Vec<String> {
    result.unwrap_err().iter().map(|problem| problem.to_string()).collect()
}

#[test]
fn all_forms_of_manifests_are_read_in_the_order_of_files() {
    let dir = TempDir::new().unwrap();
    let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    put("c.json", r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "from-json"}}"#);
    put(
        "a.yaml",
        "# two documents, an empty one and a stranger\n---\n---\napiVersion: v1\nkind: ConfigMap\n\
         metadata: {name: x}\ndata: {any: thing}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: shop\n---\n\
         {apiVersion: apps/v1, kind: Deployment}\n",
    );
    put(
        "b.yml",
        "\u{feff}apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Node\n  metadata: {name: a}\n\
         - apiVersion: v1\n  kind: NodeList\n  items:\n  - metadata: {name: b}\n  - metadata: {name: c}\n",
    );
    put("notes.txt", "{ not ours");
    put(".hidden.yaml", "{ not ours");
    fs::create_dir(dir.path().join("directory.yaml")).unwrap();
    let loaded = read_dir(dir.path()).unwrap();
    assert_eq!(object_names(&loaded), ["Service shop/web", "Node a", "Node b", "Node c", "Node from-json"]);
    let lines: Vec<_> = loaded.objects.iter().map(|l| l.origin.lines.line_of("metadata.name")).collect();
    assert_eq!(lines, [12, 6, 10, 11, 1]);
}

#[test]
fn a_field_that_is_missing_is_located_at_what_should_contain_it() {
    let text = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  annotations:\n    \
                trigon.dev/dsr: \"true\"\nspec:\n  ports:\n  - name: http\n    port: 80\n  - name: https\n";
    let origin = &read_text(text).unwrap().objects[0].origin;
    for (field, line) in [
        ("spec.ports[0].port", 10),
        ("spec.ports[1]", 11),
        ("spec.ports[1].port", 11),
        ("spec.ports[7].port", 8),
        ("status.loadBalancer.ingress[0].ip", 1),
        ("metadata.annotations[trigon.dev/dsr]", 6),
        ("metadata.annotations[trigon.dev/other]", 5),
        ("", 1),
        ("...[[]]", 1),
    ] {
        assert_eq!(origin.location_of(field), format!("test.yaml:{line}"), "{field}");
    }
}

#[test]
fn problems_name_line_object_field_and_remedy() {
    let service = |rest: &str| format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n{rest}");
    let table = [
        // Syntax
        ("a: b\n  c: [", "test.yaml:2: file test.yaml: syntax: "),
        ("a: 1\nb: 2\na: 3\n", "test.yaml:3: file test.yaml: syntax: the field `a` is there twice; "),
        ("a: &x [*x]\n", "test.yaml:1: file test.yaml: syntax: "),
        ("? [a]\n: b\n", "test.yaml:1: file test.yaml: syntax: a field name must be plain text; "),
        // What it is
        (
            "- a\n",
            "test.yaml:1: object without a name: kind: is missing: this is no Kubernetes object; start",
        ),
        ("kind: Service\n", "test.yaml:1: Service without a name: apiVersion: is missing; start every"),
        ("\napiVersion: v1\nmetadata: {name: a}\n", "test.yaml:2: object default/a: kind: is missing; start"),
        ("apiVersion: v1\nkind: 7\n", "test.yaml:2: object without a name: kind: is not a name; start"),
        (
            "apiVersion: v1\nkind: Servcie\n",
            "test.yaml:2: Servcie without a name: kind: `Servcie` is not a Kubernetes kind; write `kind: Service`",
        ),
        (
            "kind: EndpointSlice\napiVersion: discovery.k8s.io/v1beta1\nmetadata: {name: a, namespace: b}",
            "test.yaml:2: EndpointSlice b/a: apiVersion: `discovery.k8s.io/v1beta1` is not a version that Trigon \
             reads; write `apiVersion: discovery.k8s.io/v1`",
        ),
        (
            "apiVersion: v1\nkind: Node\nmetadata:\n  labels: {}\n",
            "test.yaml:3: Node without a name: metadata.name: is missing; give",
        ),
        // What is in it
        (
            &service("spec:\n  ports:\n  - prot: 80\n"),
            "test.yaml:7: Service default/web: spec.ports[0].prot: unknown field; did you mean `port`?",
        ),
        (
            &service("  annotations:\n    trigon.dev/dsr: true\n"),
            "test.yaml:6: Service default/web: metadata.annotations[trigon.dev/dsr]: invalid type: boolean `true`, \
             expected a string; put the value in quotes",
        ),
        (
            &service("spec:\n  ports:\n  - port: eighty\n"),
            "test.yaml:7: Service default/web: spec.ports[0].port: invalid type: string \"eighty\", expected i32; \
             see `kubectl explain service.spec.ports.port`",
        ),
        (
            &service("---\napiVersion: v1\nkind: Service\nmetadata:\n  namespace: default\n  name: web\n"),
            "test.yaml:10: Service default/web: metadata.name: is there twice, first at test.yaml:4; remove",
        ),
    ];
    for (text, expected) in table {
        let found = problem_lines(read_text(text));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(expected), "\n   found: {}\nexpected: {expected}", found[0]);
    }
}

/// Problems go to logs, `trigon status` and `trigon check`.
#[test]
fn no_problem_shows_a_password() {
    let peer = "kind: BgpPeer\napiVersion: trigon.dev/v1alpha1\nmetadata: {name: a}\n";
    let secret = "kind: Secret\napiVersion: v1\nmetadata: {name: a}\ntype: kubernetes.io/basic-auth\n";
    let table = [
        (peer, "spec: {myASN: 1, password: 123456}", "invalid type: integer, expected a string; put"),
        (
            peer,
            "spec: {myASN: 1, password: 0.123456}",
            "invalid type: floating point, expected a string; put",
        ),
        (peer, "spec: {myASN: 1, password: [123456]}", "invalid type: sequence, expected a string; put"),
        (peer, "spec: {myASN: 1, password: !!int x123456}", "a value is not what its tag says; "),
        (peer, "spec: 'password: 123456'", "invalid type: string, expected "),
        (secret, "stringData: {password: 123456}", "invalid type: integer, expected a string; put"),
        (secret, "stringData: 123456", "invalid type: integer, expected "),
        (secret, "stringData: 'password: \"123456, expected nothing\"'", "invalid type: string, expected "),
        (secret, "data: {password: 123456}", "invalid type: integer, expected "),
        (secret, "data: {password: '123456?'}", ""),
    ];
    for (head, rest, expected) in table {
        let problems = match read_text(&format!("{head}{rest}\n")) {
            Ok(loaded) => loaded.refused,
            Err(problems) => problems,
        };
        assert_eq!(problems.len(), 1, "{rest}");
        let found = problems[0].to_string();
        assert!(found.contains(&format!(": {expected}")) && !found.contains("123456"), "{rest}: {found}");
    }
}

#[test]
fn files_that_cannot_be_read_are_problems() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("latin.yaml"), b"a: b\nc: \xe4\n").unwrap();
    symlink("nowhere", dir.path().join("link.yaml")).unwrap();
    let large = File::create(dir.path().join("large.yaml")).unwrap();
    large.set_len(MAX_FILE + 1).unwrap();
    let found = problem_lines(read_dir(dir.path()));
    let at = |name: &str| format!("{}/{name}", dir.path().display());
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].starts_with(&at("large.yaml: file")), "{}", found[0]);
    assert!(found[0].ends_with("larger than 64 MiB; split it into several files"), "{}", found[0]);
    assert!(found[1].starts_with(&at("latin.yaml:2: file")), "{}", found[1]);
    assert!(found[2].starts_with(&at("link.yaml: file")), "{}", found[2]);
    let missing = &problem_lines(read_dir(Path::new("/does/not/exist")))[0];
    assert!(missing.starts_with("/does/not/exist: directory exist: path: No such file"), "{missing}");
    assert!(missing.contains("; name a directory with YAML files"), "{missing}");
}

#[test]
fn alias_bombs_and_deep_nesting_are_refused() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 1000].join(", "));
    for text in [&laughs, &long] {
        assert!(problem_lines(read_text(text))[0].contains("anchors and aliases that expand to too much"));
    }
    for deep in ["- ".repeat(1 << 20), "[".repeat(1 << 20), "? ".repeat(1 << 20), "{a: ".repeat(1 << 20)] {
        assert_eq!(problem_lines(read_text(&deep)).len(), 1);
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}") {
        let _ = read_text(&text);
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(parts in proptest::collection::vec(
        prop::sample::select(vec![
            "apiVersion: v1", "kind: Service", "kind: List", "items:", "metadata:", "name: a", "spec: ", "ports",
            ": ", "- ", "? ", "[", "]", "{", "}", ",", "&a ", "*a", "!!int ", "!x ", "|", ">", "\n", "\n  ", "\n- ",
            "\t", "---\n", "...\n", "\"", "'", "#", "%YAML 1.2\n", "<<: ", "~", "0x7", ".nan", "1e999", "\\u0000",
        ]), 0..40,
    )) {
        let _ = read_text(&parts.concat());
    }
}
