//! Brings the objects of a kind together, some of which may conflict.

use std::{collections::BTreeMap, sync::Arc};

use crate::objects::{
    model::Problem,
    source::{ObjectRef, Rank},
};

/// An object as it was read.
pub struct ParsedObject<T> {
    pub rank: Rank,
    /// None: its present version has a problem and cannot be used.
    pub read: Option<T>,
    /// All objects that it refers to exist.
    pub is_whole: bool,
}

/// Whether an object conflicts with those that are admitted already.
pub enum Fit {
    Well,
    /// Part of it is without effect.
    Partly(Problem),
    Not(Problem),
}

/// The objects that are admitted so far, in this order.
pub type Admitted<T> = [(ObjectRef, Arc<T>)];

/// Admits the objects one by one: first those that stay as they were, since a change
/// of one must not displace others, then by rank. Where the present version of an object
/// does not fit or is not whole, its version in `before` is taken, if that one fits better.
pub fn admit<T: PartialEq>(
    mut entries: Vec<ParsedObject<T>>,
    before: &BTreeMap<Arc<str>, Arc<T>>,
    problems: &mut Vec<Problem>,
    fit: impl Fn(&ObjectRef, &T, &Admitted<T>) -> Fit,
) -> BTreeMap<Arc<str>, Arc<T>> {
    entries.sort_by_cached_key(|entry| {
        let old = before.get(&entry.rank.object.name);
        let is_new = entry.read.as_ref().is_some_and(|read| old.map(|old| &**old) != Some(read));
        (is_new || old.is_none(), entry.rank.clone())
    });
    let mut admitted: Vec<(ObjectRef, Arc<T>)> = Vec::new();
    for ParsedObject { rank, read, is_whole } in entries {
        let this = rank.object;
        if let Some((other, _)) = admitted.iter().find(|(other, _)| other.name == this.name) {
            let message = format!("{other} has this name");
            problems.push(this.problem("metadata.name", message, "give one of the two another name"));
            continue;
        }
        let versions: Vec<Arc<T>> =
            read.map(Arc::new).into_iter().chain(before.get(&this.name).cloned()).collect();
        let (mut chosen, mut partly, mut first) = (None, None, true);
        // A version that is in use already stays in use, even if something it refers to is gone.
        let mut is_whole = is_whole || before.get(&this.name) == versions.first();
        for version in versions {
            let told = match fit(&this, &version, &admitted) {
                Fit::Well if std::mem::replace(&mut is_whole, true) => {
                    chosen = Some(version);
                    break;
                }
                Fit::Well => {
                    partly.get_or_insert(version);
                    first = false;
                    continue;
                }
                Fit::Partly(problem) => {
                    partly.get_or_insert(version);
                    problem
                }
                Fit::Not(problem) => problem,
            };
            if std::mem::take(&mut first) {
                problems.push(told);
            }
        }
        if let Some(version) = chosen.or(partly) {
            admitted.push((this, version));
        }
    }
    admitted.into_iter().map(|(this, version)| (this.name, version)).collect()
}
