//! From a listing to a cluster in one step, for tests of other modules.

use std::sync::Arc;

use super::Index;
use crate::objects::{
    model::{Cluster, Problem},
    source::{Change, file::Listing},
    translate::TranslateConfig,
};

/// What an agent whose last cluster was `before` makes of a listing: the cluster and the
/// problems of objects about announcing. Err: all problems, if any other object has one.
pub fn load_cluster(
    listing: &Listing,
    options: TranslateConfig,
    before: &Cluster,
) -> Result<(Cluster, Vec<Problem>), Vec<Problem>> {
    let mut index = Index::with_announcing(options, Arc::clone(&before.announcing));
    index.apply_changes(listing.objects.iter().cloned().map(Change::from).collect());
    let cluster = Cluster::clone(index.cluster());
    let (faults, refused) = (index.faults(), index.refused());
    let problems: Vec<_> = faults.iter().chain(&listing.refused).chain(&refused).cloned().collect();
    if faults.is_empty() { Ok((cluster, problems)) } else { Err(problems) }
}
