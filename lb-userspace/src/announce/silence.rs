//! Why nobody announces a VIP.

use std::{net::IpAddr, sync::Arc};

use super::{
    carry::{self, DataPathState, Site},
    choose::{Advertisements, PoolAdvertisements, selects_any},
    sharing::admitted_wishes,
};
use crate::objects::model::{Announced, BgpAdvertisement, Cluster, Problem, Wish};

/// A problem for each VIP that no node can announce, by what the objects say.
/// None, if nothing is to be announced at all.
pub fn silent_vip_problems(cluster: &Cluster) -> Vec<Problem> {
    if cluster.announcing.is_unused() {
        return Vec::new();
    }
    let all = Advertisements::new(&cluster.announcing);
    let problem = |(vip, announced): (&IpAddr, &Arc<Announced>)| {
        let (message, remedy) = explain_silence(cluster, &all, *vip, announced)?;
        Some(Problem {
            object: format!("Service {}", announced.wishes.keys().next()?),
            field: "status.loadBalancer.ingress".to_owned(),
            message: format!("{vip} is announced by nobody: {message}"),
            remedy: remedy.to_owned(),
            ..Problem::default()
        })
    };
    cluster.announced.iter().filter_map(problem).collect()
}

/// A message and a remedy; None if some node can announce the VIP, by what the objects say.
fn explain_silence(
    cluster: &Cluster,
    all: &Advertisements<'_>,
    vip: IpAddr,
    announced: &Announced,
) -> Option<(String, &'static str)> {
    let chosen = all.for_vip(vip);
    let prefixes: Vec<usize> = all.prefixes_for(vip).map(|(index, _)| index).collect();
    if prefixes.is_empty() && chosen.l2.is_empty() {
        return Some(explain_no_advertisement(chosen));
    }
    let data_path = DataPathState::on_any_director(cluster, vip);
    let mut able_nodes = Vec::new();
    for node in cluster.nodes.values() {
        let site = Site::of_node(node);
        let wishes = carry::servable_wishes(announced, &site, data_path);
        if wishes.is_empty() {
            continue;
        }
        let is_announced_by_bgp = |index: &usize| has_peer(cluster, all.bgp[*index], &site, &wishes);
        let is_announced_by_l2 = |index: &usize| {
            let one = all.l2[*index];
            one.nodes.matches(site.labels) && selects_any(&one.services, &wishes)
        };
        if prefixes.iter().any(is_announced_by_bgp) || chosen.l2.iter().any(is_announced_by_l2) {
            return None;
        }
        able_nodes.push(site.name);
    }
    Some(if able_nodes.is_empty() {
        explain_no_able_node(cluster, announced, data_path)
    } else {
        explain_no_chosen_node(&able_nodes)
    })
}

fn has_peer(cluster: &Cluster, one: &BgpAdvertisement, site: &Site<'_>, wishes: &[&Wish]) -> bool {
    let mut peers = cluster.announcing.peers.iter();
    one.nodes.matches(site.labels)
        && selects_any(&one.services, wishes)
        && peers.any(|(name, peer)| one.is_for_peer(name) && peer.nodes.matches(site.labels))
}

fn explain_no_advertisement(chosen: &PoolAdvertisements<'_>) -> (String, &'static str) {
    match chosen.pool {
        None => (
            "it is in no AddressPool, and every advertisement chooses pools".to_owned(),
            "add the address to a pool, or an advertisement without ipAddressPools",
        ),
        Some(pool) if chosen.bgp.is_empty() => (
            format!("no advertisement chooses AddressPool `{pool}`"),
            "add the pool to the ipAddressPools of one",
        ),
        Some(pool) => (
            format!("every prefix that holds it goes beyond AddressPool `{pool}`"),
            "write a larger aggregationLength, or use an address in the middle of the pool",
        ),
    }
}

fn explain_no_able_node(
    cluster: &Cluster,
    announced: &Announced,
    data_path: DataPathState,
) -> (String, &'static str) {
    if announced.is_dsr() && !cluster.nodes.values().any(|node| node.director) {
        return ("no Node is a director".to_owned(), "label the directors trigon.dev/director: \"true\"");
    }
    let with_endpoints =
        admitted_wishes(announced).into_iter().filter(|wish| carry::has_endpoints(wish, data_path)).count();
    if with_endpoints > 1 {
        let message = format!("no node can serve all of its Services ({})", announced.service_names());
        return (message, "give them addresses of their own, or let the same nodes have endpoints of all");
    }
    (
        "no node has an endpoint for it that takes new connections".to_owned(),
        "start Pods, or look why they are not ready",
    )
}

fn explain_no_chosen_node(able_nodes: &[&Arc<str>]) -> (String, &'static str) {
    let names: Vec<&str> = able_nodes.iter().map(|name| &***name).take(5).collect();
    let message = format!(
        "of the nodes that could ({}{}), no advertisement with a peer chooses any",
        names.join(", "),
        if able_nodes.len() > names.len() { ", ..." } else { "" }
    );
    (message, "correct the nodeSelectors and serviceSelectors of advertisements, or their peers")
}
