//! An index in one step, for tests of what stands on it.

use std::sync::Arc;

use super::Index;
use crate::objects::{
    model::{Cluster, Problem},
    source::Listing,
    translate::TranslateConfig,
};

/// What an agent makes of a listing, that knew `before`: the cluster and what is wrong
/// with objects about announcing; or, if anything else is wrong, all that is wrong.
pub fn load_cluster(
    listing: &Listing,
    options: TranslateConfig,
    before: &Cluster,
) -> Result<(Cluster, Vec<Problem>), Vec<Problem>> {
    let mut index = Index::after(options, Arc::clone(&before.announcing));
    index.replace(listing.objects.iter().map(|located| located.object.clone()).collect());
    let (cluster, problems) = index.cluster();
    let problems = listing.problems.iter().cloned().chain(listing.locate(problems)).collect();
    if index.is_sound() { Ok((Cluster::clone(&cluster), problems)) } else { Err(problems) }
}
