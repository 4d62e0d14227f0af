use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use proptest::{collection, prelude::*};

use super::*;
use crate::protocols::bgp::{
    config::LargeCommunity,
    fsm::Negotiated,
    testing,
    wire::{Decoder, GRACEFUL_SHUTDOWN, PathAttributes, RouteNextHop},
};

fn parse_prefix(text: &str) -> IpNet {
    text.parse().unwrap()
}

const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

fn negotiated() -> Negotiated {
    Negotiated {
        peer_as: 65_002,
        peer_id: Ipv4Addr::new(10, 0, 0, 2),
        is_internal: false,
        hold_time: None,
        families: Family::ALL.into(),
        four_octet_as: true,
        extended_next_hop: false,
        enhanced_refresh: false,
        graceful_restart: true,
        hard_reset: false,
        capabilities: Vec::new(),
    }
}

fn session(negotiated: Negotiated, local: impl Into<IpAddr>) -> ExportSession {
    let addresses = LocalAddresses { local: local.into(), v4: None, v6: Some(GLOBAL) };
    ExportSession { config: testing::config().into(), negotiated: negotiated.into(), addresses }
}

fn rib() -> AdjRibOut {
    AdjRibOut::new(session(negotiated(), V4))
}

fn attributes(med: u32) -> Arc<Attributes> {
    Arc::new(Attributes { med: Some(med), ..Attributes::default() })
}

fn routes(all: &[(&str, u32)]) -> Routes {
    all.iter().map(|(prefix, med)| (parse_prefix(prefix), attributes(*med))).collect()
}

fn take_messages(rib: &mut AdjRibOut) -> Vec<Message> {
    std::iter::from_fn(|| rib.next_message()).collect()
}

/// The routes of a peer that takes over every message.
#[derive(Default)]
struct ReceivedRoutes {
    routes: BTreeMap<IpNet, (RouteNextHop, PathAttributes)>,
    end_of_ribs: Vec<Family>,
    refreshes: Vec<(Family, RefreshKind)>,
}

impl ReceivedRoutes {
    /// Encodes the message and decodes it again, as a peer receives it.
    fn process_message(&mut self, message: &Message) {
        let bytes = message.encode(true).unwrap();
        assert!(bytes.len() <= MAX_MESSAGE);
        let mut decoder = Decoder::default();
        decoder.push_bytes(&bytes);
        match decoder.next_message(true).unwrap().unwrap() {
            Message::Update(update) => self.apply_update(&update),
            Message::RouteRefresh(refresh) => self.refreshes.push((refresh.family.unwrap(), refresh.kind)),
            other => panic!("{other:?}"),
        }
    }

    fn apply_update(&mut self, update: &Update) {
        assert_eq!(update.malformed, None);
        self.end_of_ribs.extend(update.end_of_rib_family());
        for prefix in update.unreach.values().flatten() {
            assert!(self.routes.remove(prefix).is_some(), "{prefix} was never announced");
        }
        for reach in update.reach.values() {
            let path = (reach.next_hop, update.attributes.clone());
            self.routes.extend(reach.prefixes.iter().map(|prefix| (*prefix, path.clone())));
        }
    }

    fn process_all(&mut self, rib: &mut AdjRibOut) {
        take_messages(rib).iter().for_each(|message| self.process_message(message));
    }
}

fn expected_paths(
    session: &ExportSession,
    routes: &Routes,
    is_draining: bool,
) -> BTreeMap<IpNet, (RouteNextHop, PathAttributes)> {
    let path = |(prefix, attributes): (&IpNet, &Arc<Attributes>)| {
        let path = session.export_path(Family::of_prefix(prefix), attributes, is_draining).unwrap();
        (*prefix, (path.next_hop, path.attributes))
    };
    routes.iter().map(path).collect()
}

#[test]
fn only_changes_are_sent_and_withdrawals_come_first() {
    let mut rib = rib();
    rib.set_desired(
        &routes(&[("10.0.0.1/32", 1), ("10.0.0.2/32", 1), ("10.0.0.3/32", 1)]),
        Leaving::No,
        false,
    );
    assert_eq!((rib.pending_count(), take_messages(&mut rib).len(), rib.sent_count()), (3, 1, 3));
    rib.set_desired(&routes(&[("10.0.0.2/32", 1), ("10.0.0.3/32", 2)]), Leaving::No, false);
    let [Message::Update(first), Message::Update(second)] = &take_messages(&mut rib)[..] else {
        panic!("two UPDATEs")
    };
    assert_eq!(first.unreach[&Family::Ipv4], [parse_prefix("10.0.0.1/32")]);
    assert_eq!(second.reach[&Family::Ipv4].prefixes, [parse_prefix("10.0.0.3/32")]);
    assert_eq!((rib.pending_count(), rib.sent_count()), (0, 2));
}

#[test]
fn a_change_undone_before_it_was_sent_is_never_sent() {
    let mut rib = rib();
    rib.set_desired(&routes(&[("10.0.0.1/32", 1)]), Leaving::No, false);
    rib.set_desired(&routes(&[]), Leaving::No, false);
    assert_eq!(take_messages(&mut rib), []);
}

#[test]
fn end_of_rib_waits_until_everything_is_complete_and_comes_once_per_family() {
    let mut rib = rib();
    let mut peer = ReceivedRoutes::default();
    rib.set_desired(&routes(&[("10.0.0.1/32", 1)]), Leaving::No, false);
    peer.process_all(&mut rib);
    assert_eq!((peer.end_of_ribs.len(), rib.is_finished()), (0, false));
    rib.set_desired(&routes(&[("10.0.0.1/32", 1), ("2001:db8::1/128", 1)]), Leaving::No, true);
    let messages = take_messages(&mut rib);
    assert!(matches!(&messages[0], Message::Update(update) if update.offered_routes() == 1));
    messages.iter().for_each(|message| peer.process_message(message));
    assert_eq!((&peer.end_of_ribs[..], rib.is_finished()), (&Family::ALL[..], true));
    rib.set_desired(&routes(&[]), Leaving::No, true);
    peer.process_all(&mut rib);
    assert_eq!(peer.end_of_ribs, Family::ALL);
}

#[test]
fn a_peer_without_graceful_restart_gets_no_end_of_rib() {
    let mut rib = AdjRibOut::new(session(Negotiated { graceful_restart: false, ..negotiated() }, V4));
    rib.set_desired(&routes(&[]), Leaving::No, true);
    assert_eq!(take_messages(&mut rib), []);
    assert!(rib.is_finished());
}

#[test]
fn a_refresh_sends_one_family_again_between_its_marks() {
    let mut rib = AdjRibOut::new(session(Negotiated { enhanced_refresh: true, ..negotiated() }, V4));
    let mut peer = ReceivedRoutes::default();
    rib.set_desired(&routes(&[("10.0.0.1/32", 1), ("2001:db8::1/128", 1)]), Leaving::No, true);
    peer.process_all(&mut rib);
    rib.request_refresh(Family::Ipv6);
    let messages = take_messages(&mut rib);
    messages.iter().for_each(|message| peer.process_message(message));
    assert!(matches!(&messages[1], Message::Update(update) if update.reach.contains_key(&Family::Ipv6)));
    assert_eq!(messages.len(), 3);
    assert_eq!(peer.refreshes, [(Family::Ipv6, RefreshKind::Begin), (Family::Ipv6, RefreshKind::End)]);
}

#[test]
fn a_refresh_without_marks_sends_only_the_routes() {
    let mut rib = rib();
    rib.set_desired(&routes(&[("10.0.0.1/32", 1)]), Leaving::No, false);
    assert_eq!(take_messages(&mut rib).len(), 1);
    rib.request_refresh(Family::Ipv4);
    assert_eq!(take_messages(&mut rib).len(), 1);
}

#[test]
fn five_thousand_routes_fill_few_messages() {
    let route = |i: u32| (IpNet::from(IpAddr::from(Ipv4Addr::from(0x0a00_0000 + i))), attributes(1));
    let routes: Routes = (0..5000).map(route).collect();
    let mut rib = rib();
    rib.set_desired(&routes, Leaving::No, true);
    let mut peer = ReceivedRoutes::default();
    let messages = take_messages(&mut rib);
    messages.iter().for_each(|message| peer.process_message(message));
    // 5 bytes each: 25,000 bytes, and two End-of-RIBs.
    assert_eq!((peer.routes.len(), messages.len()), (5000, 7 + 2));
    rib.set_desired(&Routes::new(), Leaving::No, true);
    peer.process_all(&mut rib);
    assert_eq!(peer.routes.len(), 0);
}

#[test]
fn another_as_sees_path_and_med_but_no_local_preference() {
    let of = Attributes {
        communities: [7].into(),
        large_communities: [LargeCommunity(1, 2, 3)].into(),
        local_pref: Some(300),
        med: Some(5),
        prepend: 2,
    };
    let external = session(negotiated(), V4).export_path(Family::Ipv4, &of, false).unwrap().attributes;
    assert_eq!((external.as_path, external.local_pref, external.med), (vec![65_001; 3], None, Some(5)));
    assert_eq!(
        (external.communities, external.large_communities),
        (of.communities.clone(), of.large_communities.clone())
    );
    let internal = session(Negotiated { is_internal: true, ..negotiated() }, V4);
    let internal_path = internal.export_path(Family::Ipv4, &of, false).unwrap().attributes;
    assert_eq!(
        (internal_path.as_path, internal_path.local_pref, internal_path.med),
        (vec![], Some(300), Some(5))
    );
    let plain = internal.export_path(Family::Ipv4, &Attributes::default(), false).unwrap().attributes;
    assert_eq!(plain.local_pref, Some(100));
}

#[test]
fn draining_marks_every_route_and_then_all_are_withdrawn() {
    let routes = routes(&[("10.0.0.1/32", 1)]);
    for is_internal in [false, true] {
        let mut rib = AdjRibOut::new(session(Negotiated { is_internal, ..negotiated() }, V4));
        let mut peer = ReceivedRoutes::default();
        rib.set_desired(&routes, Leaving::No, true);
        peer.process_all(&mut rib);
        rib.set_desired(&routes, Leaving::Draining, true);
        peer.process_all(&mut rib);
        let (_, path) = &peer.routes[&parse_prefix("10.0.0.1/32")];
        assert!(path.communities.contains(&GRACEFUL_SHUTDOWN));
        assert_eq!(path.local_pref, is_internal.then_some(0));
        rib.set_desired(&routes, Leaving::Withdrawn, true);
        peer.process_all(&mut rib);
        assert_eq!(peer.routes.len(), 0);
    }
}

#[test]
fn next_hops_follow_from_the_session_its_interface_and_the_configuration() {
    let v4 = |address| Ok(RouteNextHop::V4(address));
    let v6 = |global, link_local| Ok(RouteNextHop::V6 { global, link_local });
    let other_v4 = Ipv4Addr::new(198, 51, 100, 9);
    // Session over, the interface's IPv4 and IPv6, RFC 8950: next hops of IPv4 and IPv6 routes.
    type Hop = Result<RouteNextHop, ()>;
    type Case = (IpAddr, Option<Ipv4Addr>, Option<Ipv6Addr>, bool, Hop, Hop);
    let cases: [Case; 8] = [
        (V4.into(), None, None, false, v4(V4), Err(())),
        (V4.into(), None, Some(GLOBAL), true, v4(V4), v6(GLOBAL, None)),
        (GLOBAL.into(), None, None, false, Err(()), v6(GLOBAL, None)),
        (GLOBAL.into(), Some(other_v4), None, false, v4(other_v4), v6(GLOBAL, None)),
        (GLOBAL.into(), Some(other_v4), None, true, v6(GLOBAL, None), v6(GLOBAL, None)),
        (LINK_LOCAL.into(), None, None, true, v6(LINK_LOCAL, None), v6(LINK_LOCAL, None)),
        (
            LINK_LOCAL.into(),
            None,
            Some(GLOBAL),
            true,
            v6(GLOBAL, Some(LINK_LOCAL)),
            v6(GLOBAL, Some(LINK_LOCAL)),
        ),
        (LINK_LOCAL.into(), None, Some(GLOBAL), false, Err(()), v6(GLOBAL, Some(LINK_LOCAL))),
    ];
    for (local, interface_v4, interface_v6, extended_next_hop, of_v4, of_v6) in cases {
        let mut session = session(Negotiated { extended_next_hop, ..negotiated() }, local);
        session.addresses = LocalAddresses { local, v4: interface_v4, v6: interface_v6 };
        for (family, expected) in [(Family::Ipv4, of_v4), (Family::Ipv6, of_v6)] {
            let path = session.export_path(family, &Attributes::default(), false);
            assert_eq!(path.map(|path| path.next_hop).map_err(drop), expected, "{family} over {local}");
        }
        let mut config = testing::config();
        (config.next_hop_v4, config.next_hop_v6) = (Some(Ipv4Addr::LOCALHOST), Some(Ipv6Addr::LOCALHOST));
        session.config = config.into();
        let hop = |family| {
            session.export_path(family, &Attributes::default(), false).map(|path| path.next_hop).map_err(drop)
        };
        assert_eq!(
            (hop(Family::Ipv4), hop(Family::Ipv6)),
            (v4(Ipv4Addr::LOCALHOST), v6(Ipv6Addr::LOCALHOST, None))
        );
    }
}

#[test]
fn routes_that_cannot_be_announced_are_reported_and_the_others_are_sent() {
    let mut session = session(negotiated(), V4);
    session.addresses.v6 = None;
    let mut rib = AdjRibOut::new(session);
    let mut all =
        routes(&[("10.0.0.1/32", 1), ("2001:db8::1/128", 1), ("2001:db8::2/128", 1), ("224.0.0.1/32", 1)]);
    let many = Attributes { communities: (0..1200).collect(), ..Attributes::default() };
    all.insert(parse_prefix("10.0.0.9/32"), many.into());
    rib.set_desired(&all, Leaving::No, true);
    let mut peer = ReceivedRoutes::default();
    peer.process_all(&mut rib);
    assert_eq!(peer.routes.keys().collect::<Vec<_>>(), [&parse_prefix("10.0.0.1/32")]);
    let problems: Vec<_> = rib.problems().collect();
    assert_eq!(problems.len(), 3);
    assert!(
        problems.iter().any(|problem| problem.starts_with("2 routes") && problem.contains("IPv6 next hop"))
    );
}

/// Does a message announce only what is decided, and withdraw only what is not?
fn is_decided(message: &Message, decided: &BTreeMap<IpNet, (RouteNextHop, PathAttributes)>) -> bool {
    let Message::Update(update) = message else { return true };
    let is_announced = |prefix: &IpNet, next_hop: RouteNextHop| {
        decided.get(prefix).is_some_and(|path| *path == (next_hop, update.attributes.clone()))
    };
    let mut reach = update.reach.values();
    let mut withdrawn = update.unreach.values().flatten();
    reach.all(|reach| reach.prefixes.iter().all(|prefix| is_announced(prefix, reach.next_hop)))
        && !withdrawn.any(|prefix| decided.contains_key(prefix))
}

fn some_routes() -> impl Strategy<Value = Routes> {
    let prefix = prop_oneof![
        (0_u32..40).prop_map(|i| IpNet::from(IpAddr::from(Ipv4Addr::from(0x0a00_0000 + i)))),
        (0_u128..40).prop_map(|i| IpNet::from(IpAddr::from(Ipv6Addr::from((0x2001_0db8_u128 << 96) + i)))),
    ];
    collection::btree_map(prefix, (0_u32..3).prop_map(attributes), 0..60)
}

proptest! {
    /// In any sequence of changes, refreshes and partial sending, nothing is sent that is not decided
    /// at that moment; and after it the peer has the routes that were set last.
    #[test]
    fn the_peer_ends_up_with_the_desired_routes(
        steps in collection::vec((some_routes(), any::<bool>(), 0_usize..4, any::<Option<bool>>()), 1..8),
    ) {
        let mut rib = rib();
        let mut peer = ReceivedRoutes::default();
        let mut last = (Routes::new(), false);
        for (routes, is_draining, pulls, refresh) in steps {
            let leaving = if is_draining { Leaving::Draining } else { Leaving::No };
            rib.set_desired(&routes, leaving, true);
            let decided = expected_paths(&rib.session, &routes, is_draining);
            for message in std::iter::from_fn(|| rib.next_message()).take(pulls) {
                prop_assert!(is_decided(&message, &decided), "{:?}", message);
                peer.process_message(&message);
            }
            if let Some(family) = refresh.map(|v6| if v6 { Family::Ipv6 } else { Family::Ipv4 }) {
                rib.request_refresh(family);
            }
            last = (routes, is_draining);
        }
        peer.process_all(&mut rib);
        prop_assert_eq!(&peer.routes, &expected_paths(&rib.session, &last.0, last.1));
        prop_assert_eq!((rib.pending_count(), rib.sent_count()), (0, peer.routes.len()));
        prop_assert_eq!(peer.end_of_ribs, Family::ALL);
    }
}
