//! What many have in common, in one line. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use crate::objects::model::Problem;

/// How many a line names.
const MAX_NAMED: usize = 3;

/// `a, b, c and 7 more`
pub fn name_some(all: impl IntoIterator<Item = impl Display>) -> String {
    let mut all = all.into_iter();
    let named: Vec<_> = all.by_ref().take(MAX_NAMED).map(|one| one.to_string()).collect();
    match all.count() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Something that is wrong, and with what.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Fault {
    pub said: String,
    /// Empty: it is said of nothing in particular.
    pub of: String,
}

impl Fault {
    pub fn new(said: impl Into<String>, of: impl Display) -> Self {
        Self { said: said.into(), of: of.to_string() }
    }
}

/// One line for all of which the same is said, `a, b, c and 7 more: what is said`, in the order
/// of the first of each.
pub fn fault_lines(faults: impl IntoIterator<Item = Fault>) -> Vec<String> {
    let groups = grouped(faults.into_iter().map(|fault| (fault.said, fault.of)));
    let line = |(said, all): (String, Vec<String>)| match all.first() {
        Some(only) if only.is_empty() => said,
        _ => format!("{}: {said}", name_some(BTreeSet::from_iter(all))),
    };
    groups.into_iter().map(line).collect()
}

/// What has the same key, together, in the order of the first of each.
fn grouped<K: Ord + Clone, T>(keyed: impl Iterator<Item = (K, T)>) -> Vec<(K, Vec<T>)> {
    let mut places = BTreeMap::<K, usize>::new();
    let mut groups = Vec::<(K, Vec<T>)>::new();
    for (key, one) in keyed {
        let place = *places.entry(key.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, group)) => group.push(one),
            None => groups.push((key, vec![one])),
        }
    }
    groups
}

/// One line for all problems with the same message and remedy, in the order of the first of each.
pub fn problem_lines<'a>(problems: impl Iterator<Item = &'a Problem>) -> Vec<String> {
    let keyed = problems.map(|problem| ((&*problem.message, &*problem.remedy), problem));
    grouped(keyed).iter().filter_map(|(_, group)| group_line(group)).collect()
}

fn group_line(group: &[&Problem]) -> Option<String> {
    let (first, others) = group.split_first()?;
    let objects: BTreeSet<&str> = others.iter().map(|problem| &*problem.object).collect();
    Some(match others.len() {
        0 => first.to_string(),
        count => format!("{first} (and {count} more like it, in {})", name_some(objects)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_named_and_the_others_counted() {
        assert_eq!(name_some(["a"]), "a");
        assert_eq!(name_some(["a", "b", "c"]), "a, b, c");
        assert_eq!(name_some(1..=10_000), "1, 2, 3 and 9997 more");
    }

    #[test]
    fn the_same_is_said_once_of_all() {
        let said = [("down", "b"), ("slow", "c"), ("down", "a"), ("down", "b"), ("all is lost", "")];
        let lines = fault_lines(said.map(|(said, of)| Fault::new(said, of)));
        assert_eq!(lines, ["a, b: down", "c: slow", "all is lost"]);
    }

    #[test]
    fn ten_thousand_endpoints_of_one_missing_node_are_one_line() {
        let problem = |index: usize, node: &str| Problem {
            object: "EndpointSlice default/web-1".into(),
            field: format!("endpoints[{index}].nodeName"),
            message: format!("there is no Node `{node}`"),
            remedy: "add it".into(),
            ..Problem::default()
        };
        let all: Vec<_> = (0..10_000).map(|n| problem(n, if n == 5 { "other" } else { "lost" })).collect();
        let lines = problem_lines(all.iter());
        assert_eq!(
            lines,
            [
                "EndpointSlice default/web-1: endpoints[0].nodeName: there is no Node `lost`; add it (and 9998 more like it, in EndpointSlice default/web-1)",
                "EndpointSlice default/web-1: endpoints[5].nodeName: there is no Node `other`; add it",
            ]
        );
    }
}
