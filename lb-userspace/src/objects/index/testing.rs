//! From a listing to a cluster in one step, for tests of other modules.

use std::sync::Arc;

use super::Index;
use crate::objects::{
    model::{Cluster, Problem},
    source::Listing,
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
    index.replace_objects(listing.objects.iter().map(|located| located.object.clone()).collect());
    let (cluster, problems) = index.cluster();
    let problems = listing.problems.iter().cloned().chain(listing.locate_problems(problems)).collect();
    if index.faults().is_empty() { Ok((Cluster::clone(&cluster), problems)) } else { Err(problems) }
}
