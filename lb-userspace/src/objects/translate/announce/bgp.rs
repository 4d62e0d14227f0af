//! `BgpAdvertisement`

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Fields, KnownObjects,
    admit::{Admitted, Fit},
    choice::{read_names, read_pool_choice},
    community::{CommunityValue, resolve_community},
    pool::format_range,
    selector::{FIRST_BY_NAME, NodeOverlap, NodesByName, node_overlap, read_selectors},
};
use crate::{
    objects::{
        crds,
        model::{BgpAdvertisement, Communities, Pool},
        source::{Kind, ObjectRef},
    },
    protocols::bgp::Attributes,
};

type PoolsByName = BTreeMap<Arc<str>, Arc<Pool>>;

/// More than that makes no difference any more, and routers limit paths.
const MOST_PREPENDED: u32 = 10;

pub fn read(
    object: &crds::BgpAdvertisement,
    known: &KnownObjects<'_>,
    communities: &BTreeMap<Arc<str>, Arc<Communities>>,
    fields: &mut Fields<'_>,
) -> Option<BgpAdvertisement> {
    let spec = &object.spec;
    let length = "a prefix length to announce";
    let length_v4 =
        fields.checked_number("aggregationLength", spec.aggregation_length, 1..=32, length).unwrap_or(32);
    let length_v6 = fields
        .checked_number("aggregationLengthV6", spec.aggregation_length_v6, 1..=128, length)
        .unwrap_or(128);
    let services = read_selectors("serviceSelectors", &spec.service_selectors, fields);
    let aggregated = [("aggregationLength", length_v4 < 32), ("aggregationLengthV6", length_v6 < 128)];
    for (field, _) in aggregated.iter().filter(|(_, is_set)| *is_set && !services.is_everything()) {
        let message = "there are serviceSelectors, and a prefix holds VIPs of other Services, too";
        fields.report_wrong(field, message, "remove one of the two");
    }
    let attributes = read_attributes(spec, communities, fields);
    let peers = read_names("peers", &spec.peers, Kind::BgpPeer, known, fields);
    Some(BgpAdvertisement {
        full_name: fields.this.full_name().into(),
        length_v4,
        length_v6,
        attributes: Arc::new(attributes),
        pools: read_pool_choice(&spec.ip_address_pools, &spec.ip_address_pool_selectors, known, fields),
        nodes: read_selectors("nodeSelectors", &spec.node_selectors, fields),
        services,
        peers: (!spec.peers.is_empty()).then_some(peers),
    })
}

fn read_attributes(
    spec: &crds::BgpAdvertisementSpec,
    named: &BTreeMap<Arc<str>, Arc<Communities>>,
    fields: &mut Fields<'_>,
) -> Attributes {
    let prepend = fields.checked_number("prepend", spec.prepend, 0..=MOST_PREPENDED, "a number of times");
    let mut attributes = Attributes {
        local_pref: spec.local_pref,
        med: spec.med,
        prepend: prepend.unwrap_or_default(),
        ..Attributes::default()
    };
    fields.report_duplicates("communities", &spec.communities);
    for (index, text) in spec.communities.iter().enumerate() {
        match fields.ok_or_report(&format!("communities[{index}]"), resolve_community(text, named)) {
            Some(CommunityValue::Standard(value)) => drop(attributes.communities.insert(value)),
            Some(CommunityValue::Large(value)) => drop(attributes.large_communities.insert(value)),
            None => {}
        }
    }
    attributes
}

/// An advertisement conflicts with one that gives the same routes other attributes. It fits
/// only partly if a prefix of its length would go beyond a pool that it chooses.
pub fn check_fit(
    this: &ObjectRef,
    new: &BgpAdvertisement,
    others: &Admitted<BgpAdvertisement>,
    pools: &PoolsByName,
    nodes: &NodesByName,
) -> Fit {
    let mut partly = None;
    for (other, advertisement) in others {
        let Some((field, message)) = new.contradiction_with(advertisement) else { continue };
        if !can_share_routes(new, advertisement, pools) {
            continue;
        }
        let problem = |also: &str| {
            let message = format!("{message} of {other}, for the same routes to the same peers{also}");
            let remedy =
                "write the same in both, or let them differ in pools, peers, nodes or aggregation lengths";
            this.problem(format!("spec.{field}"), message, remedy)
        };
        match node_overlap(&new.nodes, &advertisement.nodes, nodes) {
            NodeOverlap::Nowhere => {}
            NodeOverlap::Somewhere => partly = partly.or_else(|| Some(problem(FIRST_BY_NAME))),
            NodeOverlap::Everywhere => return Fit::Not(problem("")),
        }
    }
    if let Some(problem) = partly {
        return Fit::Partly(problem);
    }
    let chosen = pools.iter().filter(|(name, pool)| new.pools.contains(name, pool));
    for (name, pool) in chosen {
        let Some(range) = new.first_exceeded_range(pool) else { continue };
        let (field, length) = match range.first.is_ipv4() {
            true => ("spec.aggregationLength", new.length_v4),
            false => ("spec.aggregationLengthV6", new.length_v6),
        };
        let message = format!(
            "a prefix of length {length} goes beyond {} of AddressPool `{name}`: VIPs in one that does are left out",
            format_range(range)
        );
        let remedy = format!("write {} or more, or choose other pools", range.shortest_aggregation_length());
        return Fit::Partly(this.problem(field, message, remedy));
    }
    Fit::Well
}

/// Could both announce the same prefix to the same peer, on a node that has both? As with
/// MetalLB, not if one has service selectors: that depends on the Services.
fn can_share_routes(one: &BgpAdvertisement, other: &BgpAdvertisement, pools: &PoolsByName) -> bool {
    let same_peers = match (&one.peers, &other.peers) {
        (Some(one), Some(other)) => !one.is_disjoint(other),
        _ => true,
    };
    let by_service = !one.services.is_everything() || !other.services.is_everything();
    if !same_peers || by_service {
        return false;
    }
    let same_length = |is_ipv4: bool| match is_ipv4 {
        true => one.length_v4 == other.length_v4,
        false => one.length_v6 == other.length_v6,
    };
    if one.pools.is_everything() && other.pools.is_everything() {
        return same_length(true) || same_length(false);
    }
    let mut shared = pools
        .iter()
        .filter(|(name, pool)| one.pools.contains(name, pool) && other.pools.contains(name, pool));
    shared.any(|(_, pool)| pool.ranges.iter().any(|range| same_length(range.first.is_ipv4())))
}
