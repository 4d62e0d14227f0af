//! The nodes among which the announcer of a VIP is elected.

use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc};

use crate::hash::{fnv1a, mix};

/// Distinguishes ballots: two agents that know different ballots for a VIP must not both win.
pub type BallotId = NonZeroU32;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ballot {
    id: BallotId,
    nodes: BTreeSet<Arc<str>>,
}

impl Ballot {
    pub fn id(&self) -> BallotId {
        self.id
    }

    pub fn nodes(&self) -> &BTreeSet<Arc<str>> {
        &self.nodes
    }

    pub fn has_node(&self, node: &str) -> bool {
        self.nodes.contains(node)
    }
}

impl From<BTreeSet<Arc<str>>> for Ballot {
    fn from(nodes: BTreeSet<Arc<str>>) -> Self {
        let hash = nodes.iter().fold(0, |hash, node| mix(hash ^ fnv1a(node)));
        Self { id: BallotId::new(hash as u32).unwrap_or(BallotId::MIN), nodes }
    }
}

impl Default for Ballot {
    fn default() -> Self {
        BTreeSet::new().into()
    }
}
