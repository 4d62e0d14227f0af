//! The outcome in a few values, for programs; and what is wrong, for people.

use std::collections::BTreeMap;

use lb_testbed::{Answers, DOWNLOAD_BYTES};
use serde::Serialize;

use super::{
    play::{Act, InFamily},
    router::BgpRoutes,
};

/// `--output json`
#[derive(Serialize)]
pub struct Summary {
    /// Of HTTP, in all.
    pub requests: u64,
    pub answered: u64,
    pub per_pod: BTreeMap<String, u64>,
    pub client_address_preserved: bool,
    pub reply_packets_via_directors: u64,
    pub download_bytes: u64,
    /// During the downloads, both ways: what clients send.
    pub bytes_via_directors: u64,
    pub ipv6_ok: bool,
    pub udp_ok: bool,
    pub l2_ok: bool,
    pub ipip_ok: bool,
    /// Over a router: the next hops to each VIP in BIRD's table. Empty: routes are static, without BIRD.
    pub bgp_routes: BgpRoutes,
}

impl Summary {
    pub fn from_acts(acts: &[Act]) -> Self {
        let families = || acts.iter().flat_map(|act| &act.families);
        let mut http = Answers::default();
        families().for_each(|family| http += family.http.clone());
        let downloads = || acts.iter().filter_map(|act| act.download.as_ref());
        let delivered = |delivery| acts.iter().filter(|act| act.delivery == delivery).all(is_working);
        Self {
            requests: http.requests,
            answered: http.answered,
            per_pod: http.per_pod,
            client_address_preserved: acts.iter().all(|act| act.client_address_preserved),
            reply_packets_via_directors: acts.iter().map(|act| act.legs.by_directors).sum(),
            download_bytes: downloads().map(|download| download.bytes).sum(),
            bytes_via_directors: downloads().map(|download| download.by_directors).sum(),
            ipv6_ok: families().filter(|family| family.vip.is_ipv6()).all(has_answered),
            udp_ok: families().all(has_answered_udp),
            l2_ok: delivered("l2"),
            ipip_ok: delivered("ipip"),
            bgp_routes: acts.iter().find_map(|act| act.bgp_routes.clone()).unwrap_or_default(),
        }
    }
}

fn is_working(act: &Act) -> bool {
    act.delivered_as_asked && act.families.iter().all(has_answered)
}

fn has_answered(family: &InFamily) -> bool {
    family.http.all_answered() && has_answered_udp(family)
}

fn has_answered_udp(family: &InFamily) -> bool {
    family.datagrams > 0 && family.datagrams == family.datagrams_answered
}

/// Everything that is not as it should be.
pub fn list_defects(acts: &[Act]) -> Vec<String> {
    acts.iter()
        .flat_map(|act| defects_of_act(act).into_iter().map(|what| format!("{}: {what}", act.place)))
        .collect()
}

fn defects_of_act(act: &Act) -> Vec<String> {
    let mut wrong: Vec<_> = act.families.iter().flat_map(defects_of_family).collect();
    let mut unless = |fine: bool, what: &str| {
        if !fine {
            wrong.push(what.to_owned());
        }
    };
    unless(act.client_address_preserved, "Pods did not see the client's addresses");
    unless(act.delivered_as_asked, &format!("not delivered by {}", act.delivery));
    unless(act.legs.by_directors == 0, "replies came by the directors");
    unless(act.legs.delivered == act.legs.to_nodes, "requests were lost between directors and nodes");
    unless(act.legs.to_client > 0, "no reply came from the nodes");
    if let Some(routes) = &act.bgp_routes {
        let is_spread = routes.values().all(|next_hops| next_hops.len() > 1);
        unless(is_spread, "the router does not spread the VIPs over the directors");
    }
    if let Some(download) = &act.download {
        unless(download.bytes == 2 * DOWNLOAD_BYTES, "the downloads are incomplete");
        unless(download.by_directors < download.bytes / 5, "the directors carry more than the small leg");
    }
    wrong
}

fn defects_of_family(family: &InFamily) -> Vec<String> {
    let mut wrong = Vec::new();
    if !family.http.all_answered() {
        let (answered, requests) = (family.http.answered, family.http.requests);
        let said = family.http.errors.join(", ");
        wrong.push(format!("{answered} of {requests} HTTP requests to {} answered: {said}", family.vip));
    }
    if !has_answered_udp(family) {
        let (answered, sent) = (family.datagrams_answered, family.datagrams);
        wrong.push(format!("{answered} of {sent} datagrams to {} answered", family.vip));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::demo::play::{Download, Legs};

    fn routes_by(next_hops: &[&str]) -> BgpRoutes {
        let next_hops: Vec<_> = next_hops.iter().map(|hop| hop.parse().unwrap()).collect();
        [("192.0.2.10".parse().unwrap(), next_hops)].into()
    }

    fn good() -> Act {
        let family = |vip: &str| InFamily {
            vip: vip.parse().unwrap(),
            http: Answers { requests: 9, answered: 9, ..Answers::default() },
            datagrams: 5,
            datagrams_answered: 5,
        };
        Act {
            place: "here",
            delivery: "ipip",
            families: vec![family("192.0.2.10"), family("2001:db8::10")],
            client_address_preserved: true,
            delivered_as_asked: true,
            legs: Legs { to_nodes: 7, delivered: 7, to_client: 7, by_directors: 0 },
            download: Some(Download {
                bytes: 2 * DOWNLOAD_BYTES,
                by_directors: 1,
                took: Duration::from_secs(1),
            }),
            bgp_routes: Some(routes_by(&["10.77.1.2", "10.77.2.2"])),
        }
    }

    #[test]
    fn whatever_is_not_as_it_should_be_is_told() {
        assert_eq!(list_defects(&[good()]), Vec::<String>::new());
        let defects: [fn(&mut Act); 10] = [
            |act| act.families[1].http.answered = 8,
            |act| act.families[0].datagrams_answered = 4,
            |act| act.families[0].datagrams = 0,
            |act| act.client_address_preserved = false,
            |act| act.delivered_as_asked = false,
            |act| act.legs.by_directors = 1,
            |act| act.legs.delivered = 6,
            |act| act.legs.to_client = 0,
            |act| act.download = Some(Download { by_directors: DOWNLOAD_BYTES, ..Download::default() }),
            |act| act.bgp_routes = Some(routes_by(&["10.77.2.2"])),
        ];
        for (number, defect) in defects.iter().enumerate() {
            let mut act = good();
            defect(&mut act);
            assert!(!list_defects(&[good(), act]).is_empty(), "defect {number}");
        }
    }

    #[test]
    fn a_delivery_works_only_if_it_was_the_one_asked_for() {
        let summary =
            Summary::from_acts(&[good(), Act { delivery: "l2", delivered_as_asked: false, ..good() }]);
        assert!(summary.ipip_ok && !summary.l2_ok);
        assert_eq!((summary.requests, summary.answered), (36, 36));
    }

    #[test]
    fn routes_are_those_of_bird_and_none_are_told_without_it() {
        let routed = Summary::from_acts(&[good()]);
        let told = serde_json::to_value(&routed).unwrap();
        assert_eq!(told["bgp_routes"], serde_json::json!({"192.0.2.10": ["10.77.1.2", "10.77.2.2"]}));
        let fixed = Act { bgp_routes: None, ..good() };
        assert_eq!(list_defects(std::slice::from_ref(&fixed)), Vec::<String>::new());
        assert!(Summary::from_acts(&[fixed]).bgp_routes.is_empty());
    }
}
