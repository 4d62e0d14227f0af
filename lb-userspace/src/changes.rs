//! What differs between two versions of a map, a set or a list.

use std::sync::Arc;

use imbl::{OrdMap, OrdSet, ordmap::DiffItem, ordset::DiffItem as SetDiffItem};

/// The keys whose values differ, come or go. What both versions share is not looked at.
pub fn changed_keys<K: Ord + Clone, V: PartialEq>(before: &OrdMap<K, V>, now: &OrdMap<K, V>) -> Vec<K> {
    let key = |item: DiffItem<'_, '_, K, V>| match item {
        DiffItem::Add(key, _) | DiffItem::Remove(key, _) | DiffItem::Update { new: (key, _), .. } => {
            key.clone()
        }
    };
    before.diff(now).map(key).collect()
}

/// The elements that come or go.
pub fn changed_elements<T: Ord + Clone>(before: &OrdSet<T>, now: &OrdSet<T>) -> Vec<T> {
    let element = |item: SetDiffItem<'_, '_, T>| match item {
        SetDiffItem::Add(element) | SetDiffItem::Remove(element) => element.clone(),
    };
    before.diff(now).map(element).collect()
}

/// Are both lists equal? Looks only at such as are not shared.
pub fn is_same_list<T: PartialEq>(before: &Arc<[T]>, now: &Arc<[T]>) -> bool {
    Arc::ptr_eq(before, now) || before == now
}
