//! Which advertisements apply to a VIP.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::objects::model::{
    AddressRange, Announcing, BgpAdvertisement, L2Advertisement, Pool, PoolChoice, Selectors, Wish,
};

/// All advertisements by name, and which of them apply to each pool.
pub struct Advertisements<'a> {
    pub bgp: Vec<&'a BgpAdvertisement>,
    pub l2: Vec<&'a L2Advertisement>,
    /// Ranges of pools by their first address, and the advertisements for them.
    pools: BTreeMap<IpAddr, (AddressRange, Arc<PoolAdvertisements<'a>>)>,
    /// For addresses that are in no pool.
    outside: PoolAdvertisements<'a>,
}

/// The advertisements for the VIPs of a pool: indices of [`Advertisements`]' vectors.
pub struct PoolAdvertisements<'a> {
    /// None: addresses that are in no pool.
    pub pool: Option<&'a Arc<str>>,
    pub bgp: Vec<usize>,
    pub l2: Vec<usize>,
}

impl<'a> Advertisements<'a> {
    pub fn new(announcing: &'a Announcing) -> Self {
        let bgp: Vec<&BgpAdvertisement> = announcing.bgp.values().map(|one| &**one).collect();
        let l2: Vec<&L2Advertisement> = announcing.l2.values().map(|one| &**one).collect();
        let advertisements_of = |pool: Option<(&'a Arc<str>, &'a Pool)>| {
            let chosen = |choice: &PoolChoice| match pool {
                None => choice.is_everything(),
                Some((name, pool)) => choice.contains(name, pool),
            };
            PoolAdvertisements {
                pool: pool.map(|(name, _)| name),
                bgp: chosen_indices(&bgp, |one| chosen(&one.pools)),
                l2: chosen_indices(&l2, |one| chosen(&one.pools)),
            }
        };
        let mut pools = BTreeMap::new();
        for (name, pool) in &announcing.pools {
            let chosen = Arc::new(advertisements_of(Some((name, pool))));
            pools.extend(pool.ranges.iter().map(|range| (range.first, (*range, Arc::clone(&chosen)))));
        }
        let outside = advertisements_of(None);
        Self { bgp, l2, pools, outside }
    }

    pub fn for_vip(&self, vip: IpAddr) -> &PoolAdvertisements<'a> {
        self.pool_range_of(vip).map_or(&self.outside, |(_, chosen)| chosen)
    }

    /// The prefixes to announce for a VIP, each with the index of its advertisement.
    /// A prefix that goes beyond the range of the pool is left out: it would cover
    /// addresses that are not ours.
    pub fn prefixes_for(&self, vip: IpAddr) -> impl Iterator<Item = (usize, IpNet)> {
        let range = self.pool_range_of(vip).map(|(range, _)| *range);
        self.for_vip(vip).bgp.iter().filter_map(move |index| {
            let net = IpNet::new(vip, self.bgp[*index].length_for(vip)).ok()?.trunc();
            range.is_none_or(|range| range.contains_prefix(&net)).then_some((*index, net))
        })
    }

    /// The range of a pool that a VIP is in.
    fn pool_range_of(&self, vip: IpAddr) -> Option<&(AddressRange, Arc<PoolAdvertisements<'a>>)> {
        let (_, found) = self.pools.range(..=vip).next_back()?;
        Some(found).filter(|(range, _)| range.contains(vip))
    }
}

fn chosen_indices<T>(all: &[&T], is_chosen: impl Fn(&T) -> bool) -> Vec<usize> {
    (0..).zip(all).filter(|(_, one)| is_chosen(one)).map(|(index, _)| index).collect()
}

/// Do the selectors of an advertisement match any of these Services?
pub fn selects_any(services: &Selectors, wishes: &[&Wish]) -> bool {
    wishes.iter().any(|wish| services.matches(&wish.labels))
}
