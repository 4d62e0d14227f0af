//! Label selectors, with the meaning that Kubernetes gives them.

use std::collections::{BTreeMap, BTreeSet};

/// Labels of an object, or its annotations, which have the same form. There are many objects, each
/// with few.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Labels(
    /// Sorted by name, without duplicates.
    Vec<(Box<str>, Box<str>)>,
);

impl Labels {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let index = self.0.binary_search_by(|(other, _)| (**other).cmp(name)).ok()?;
        Some(&self.0[index].1)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }
}

impl From<Option<BTreeMap<String, String>>> for Labels {
    fn from(labels: Option<BTreeMap<String, String>>) -> Self {
        let labels = labels.unwrap_or_default().into_iter();
        let mut labels: Vec<_> = labels.map(|(name, value)| (name.into(), value.into())).collect();
        labels.shrink_to_fit();
        Self(labels)
    }
}

/// Something that labels must meet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Requirement {
    In(String, BTreeSet<String>),
    /// Also met by labels without the key.
    NotIn(String, BTreeSet<String>),
    Exists(String),
    DoesNotExist(String),
}

impl Requirement {
    fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.get(key).is_some(),
            Self::DoesNotExist(key) => labels.get(key).is_none(),
        }
    }
}

/// All of its requirements must be met; without any, all labels match.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Selector(pub BTreeSet<Requirement>);

impl Selector {
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

/// One of them must match; without any, everything is chosen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selectors(pub Vec<Selector>);

impl Selectors {
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.is_empty() || self.0.iter().any(|selector| selector.matches(labels))
    }

    pub fn is_everything(&self) -> bool {
        self.0.is_empty()
    }
}
