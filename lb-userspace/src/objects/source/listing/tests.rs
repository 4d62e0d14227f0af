use super::*;
use crate::objects::source::file::read_text;

fn listing(nodes: &[(&str, &str)]) -> Listing {
    let node = |(name, label): &(&str, &str)| {
        format!("---\n{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {{l: {label}}}}}}}\n")
    };
    read_text(&nodes.iter().map(node).collect::<String>()).unwrap()
}

fn describe_changes(before: &Listing, now: &Listing) -> Vec<String> {
    let describe = |change: &Change| match change {
        Change::Put(object) => format!("put {}", object.object_ref()),
        Change::Gone(object) => format!("gone {object}"),
    };
    let mut told: Vec<_> = changes_between(before, now).iter().map(describe).collect();
    told.sort();
    told
}

#[test]
fn only_objects_that_differ_are_put_and_only_missing_ones_are_gone() {
    let before = listing(&[("a", "x"), ("b", "x"), ("c", "x")]);
    let now = listing(&[("d", "x"), ("b", "x"), ("c", "y")]);
    assert_eq!(describe_changes(&before, &now), ["gone Node a", "put Node c", "put Node d"]);
    assert_eq!(describe_changes(&before, &before), [""; 0]);
    assert_eq!(describe_changes(&Listing::default(), &before), ["put Node a", "put Node b", "put Node c"]);
    assert_eq!(describe_changes(&before, &Listing::default()), ["gone Node a", "gone Node b", "gone Node c"]);
}

/// A comment before an object moves it, and changes nothing of it.
#[test]
fn another_place_in_a_file_is_no_change() {
    let before = listing(&[("a", "x"), ("b", "x")]);
    assert_eq!(describe_changes(&before, &listing(&[("b", "x"), ("a", "x")])), [""; 0]);
}
