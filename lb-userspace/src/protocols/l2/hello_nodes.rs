//! The nodes whose agents we exchange hellos with: all that may be elected, and for a while those
//! that may no longer, since they may not have learnt of it yet.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Instant};

use super::timing::GRACE;

#[derive(Default)]
pub struct HelloNodes {
    /// By node: its addresses and, if it may no longer be elected, when it is forgotten.
    nodes: BTreeMap<Arc<str>, (Vec<IpAddr>, Option<Instant>)>,
}

impl HelloNodes {
    /// Sets the nodes that may be elected; true if one is new or has other addresses.
    pub fn set_nodes(&mut self, wanted: &BTreeMap<Arc<str>, Vec<IpAddr>>, now: Instant) -> bool {
        let mut is_changed = false;
        for (node, addresses) in wanted {
            let known = self.nodes.insert(node.clone(), (addresses.clone(), None));
            is_changed |= known.is_none_or(|(before, _)| before != *addresses);
        }
        for (_, (_, until)) in self.nodes.iter_mut().filter(|(node, _)| !wanted.contains_key(*node)) {
            until.get_or_insert(now + GRACE);
        }
        is_changed
    }

    /// Forgets nodes whose time is up; true if there were any.
    pub fn forget_expired(&mut self, now: Instant) -> bool {
        let before = self.nodes.len();
        self.nodes.retain(|_, (_, until)| until.is_none_or(|until| now < until));
        self.nodes.len() != before
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.nodes.values().filter_map(|(_, until)| *until).min()
    }

    pub fn nodes(&self) -> impl Iterator<Item = &Arc<str>> {
        self.nodes.keys()
    }

    pub fn addresses(&self) -> BTreeMap<Arc<str>, Vec<IpAddr>> {
        self.nodes.iter().map(|(node, (addresses, _))| (node.clone(), addresses.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_node_that_is_left_out_is_listened_to_for_a_while() {
        let start = Instant::now();
        let names = |all: &HelloNodes| all.nodes().map(|node| node.to_string()).collect::<Vec<_>>();
        let nodes = |names: &[&str]| names.iter().map(|name| (Arc::from(*name), Vec::new())).collect();
        let mut hello_nodes = HelloNodes::default();
        assert!(hello_nodes.set_nodes(&nodes(&["a", "b"]), start));
        assert!(!hello_nodes.set_nodes(&nodes(&["a"]), start));
        // No longer because of another change.
        assert!(!hello_nodes.set_nodes(&BTreeMap::new(), start + Duration::from_millis(500)));
        assert_eq!(hello_nodes.next_deadline(), Some(start + GRACE));
        assert!(!hello_nodes.forget_expired(start + Duration::from_millis(999)));
        assert_eq!(names(&hello_nodes), ["a", "b"]);
        assert!(hello_nodes.forget_expired(start + GRACE));
        assert_eq!(names(&hello_nodes), ["a"]);
        // Back in time.
        assert!(!hello_nodes.set_nodes(&nodes(&["a"]), start + GRACE));
        assert_eq!(hello_nodes.next_deadline(), None);
        let elsewhere = BTreeMap::from([(Arc::from("a"), vec![IpAddr::from([192, 0, 2, 1])])]);
        assert!(hello_nodes.set_nodes(&elsewhere, start + GRACE));
    }
}
