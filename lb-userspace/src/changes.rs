//! What differs between two versions of a map.

use imbl::{OrdMap, ordmap::DiffItem};

/// The keys whose values differ, come or go. What both versions share is not looked at.
pub fn changed_keys<K: Ord + Clone, V: PartialEq>(before: &OrdMap<K, V>, now: &OrdMap<K, V>) -> Vec<K> {
    let key = |item: DiffItem<'_, '_, K, V>| match item {
        DiffItem::Add(key, _) | DiffItem::Remove(key, _) | DiffItem::Update { new: (key, _), .. } => {
            key.clone()
        }
    };
    before.diff(now).map(key).collect()
}
