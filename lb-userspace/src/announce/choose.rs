//! Which advertisements are about a VIP.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::objects::model::{
    Announcing, BgpAdvertisement, L2Advertisement, Pool, PoolChoice, Range, Selectors, Wish,
};

/// All advertisements, sorted by the pools they are about.
pub struct Advertisements<'a> {
    pub bgp: Vec<&'a BgpAdvertisement>,
    pub l2: Vec<&'a L2Advertisement>,
    /// Ranges of pools by their first address, and what is about them.
    pools: BTreeMap<IpAddr, (Range, Arc<About<'a>>)>,
    outside: About<'a>,
}

/// What is about the VIPs of a pool: indices of advertisements.
pub struct About<'a> {
    /// None: addresses that are in no pool.
    pub pool: Option<&'a Arc<str>>,
    pub bgp: Vec<usize>,
    pub l2: Vec<usize>,
}

impl<'a> Advertisements<'a> {
    pub fn new(announcing: &'a Announcing) -> Self {
        let bgp: Vec<&BgpAdvertisement> = announcing.bgp.values().map(|one| &**one).collect();
        let l2: Vec<&L2Advertisement> = announcing.l2.values().map(|one| &**one).collect();
        let about = |pool: Option<(&'a Arc<str>, &'a Pool)>| {
            let chosen = |choice: &PoolChoice| match pool {
                None => choice.is_everything(),
                Some((name, pool)) => choice.contains(name, pool),
            };
            About {
                pool: pool.map(|(name, _)| name),
                bgp: indices(&bgp, |one| chosen(&one.pools)),
                l2: indices(&l2, |one| chosen(&one.pools)),
            }
        };
        let mut pools = BTreeMap::new();
        for (name, pool) in &announcing.pools {
            let about = Arc::new(about(Some((name, pool))));
            pools.extend(pool.ranges.iter().map(|range| (range.first, (*range, Arc::clone(&about)))));
        }
        let outside = about(None);
        Self { bgp, l2, pools, outside }
    }

    pub fn about(&self, vip: IpAddr) -> &About<'a> {
        self.found(vip).map_or(&self.outside, |(_, about)| about)
    }

    /// The prefixes to announce for the sake of a VIP, each with the index of its
    /// advertisement. None that goes beyond the pool: it would take in what is
    /// none of ours.
    pub fn prefixes(&self, vip: IpAddr) -> impl Iterator<Item = (usize, IpNet)> {
        let range = self.found(vip).map(|(range, _)| *range);
        self.about(vip).bgp.iter().filter_map(move |index| {
            let net = IpNet::new(vip, self.bgp[*index].length(vip)).ok()?.trunc();
            range.is_none_or(|range| range.holds(&net)).then_some((*index, net))
        })
    }

    /// The range of a pool that a VIP is in.
    fn found(&self, vip: IpAddr) -> Option<&(Range, Arc<About<'a>>)> {
        let (_, found) = self.pools.range(..=vip).next_back()?;
        Some(found).filter(|(range, _)| range.contains(vip))
    }
}

fn indices<T>(all: &[&T], is_chosen: impl Fn(&T) -> bool) -> Vec<usize> {
    (0..).zip(all).filter(|(_, one)| is_chosen(one)).map(|(index, _)| index).collect()
}

/// Is an advertisement with these selectors about any of these Services?
pub fn is_for(services: &Selectors, wishes: &[&Wish]) -> bool {
    wishes.iter().any(|wish| services.matches(&wish.labels))
}
