use std::net::Ipv4Addr;

use super::*;
use crate::protocols::bgp::{
    config::{Attributes, Password},
    testing,
    wire::{
        self, Capability, Decoder, Family, GracefulRestart, Open, ReachableRoutes, RouteNextHop,
        RouteRefresh, Update,
    },
};

fn route_orders(count: u8, leaving: Leaving, complete: bool) -> RouteOrders {
    let route = |i| (format!("10.0.0.{i}/32").parse().unwrap(), Arc::new(Attributes::default()));
    RouteOrders { routes: Arc::new((0..count).map(route).collect()), leaving, complete }
}

fn their_open() -> Message {
    let restart = GracefulRestart { restarted: false, notification: false, time: 60, families: Vec::new() };
    let capabilities = vec![Capability::MultiProtocol(Family::Ipv4), Capability::GracefulRestart(restart)];
    Message::Open(Open::new(65_002, 90, Ipv4Addr::new(10, 0, 0, 2), capabilities))
}

fn peering(
    config: PeerConfig,
    route_orders: RouteOrders,
    restarted: bool,
    now: Instant,
) -> (Peering, Vec<PeeringCommand>) {
    let restart = Restart { restarted, forwarding: restarted };
    let mut peering = Peering::new(config.into(), route_orders, restart, Jitter::seeded(1), now);
    let commands = peering.start(now);
    (peering, commands)
}

/// Connects and establishes; the OPEN that was sent.
fn establish_session(peering: &mut Peering, now: Instant) -> Open {
    let addresses = LocalAddresses { local: Ipv4Addr::new(192, 0, 2, 1).into(), v4: None, v6: None };
    peering.set_addresses(ConnectionRole::Outgoing, addresses);
    let commands = peering.process(PeerEvent::Connected, now);
    for message in [their_open(), Message::KeepAlive] {
        peering.process_connection_event(ConnectionRole::Outgoing, ConnectionEvent::Received(message), now);
    }
    assert_eq!(peering.status("router", now).state, State::Established);
    let [PeeringCommand::Adopt(_), PeeringCommand::Send(_, bytes)] = &commands[..] else {
        panic!("{commands:?}")
    };
    let Message::Open(open) = decode_message(bytes) else { panic!("no OPEN") };
    open
}

fn decode_message(bytes: &[u8]) -> Message {
    let mut decoder = Decoder::default();
    decoder.push_bytes(bytes);
    decoder.next_message(true).unwrap().unwrap()
}

fn take_updates(peering: &mut Peering) -> Vec<Update> {
    let mut updates = Vec::new();
    while let Some((_, bytes)) = peering.next_update() {
        let Message::Update(update) = decode_message(&bytes) else { continue };
        updates.push(update);
    }
    updates
}

fn restart_flags(open: &Open) -> (bool, bool) {
    let restart = open.graceful_restart().unwrap();
    (restart.restarted, restart.families.iter().all(|(_, forwarding)| *forwarding))
}

#[test]
fn a_session_announces_its_routes_and_their_changes() {
    let now = Instant::now();
    let (mut peering, commands) = peering(testing::config(), route_orders(2, Leaving::No, true), false, now);
    assert_eq!(commands, [PeeringCommand::Connect]);
    assert_eq!(peering.status("router", now).routes_pending, 2);
    establish_session(&mut peering, now);
    assert_eq!(take_updates(&mut peering).len(), 2);
    assert_eq!(peering.set_route_orders(route_orders(3, Leaving::No, true), now), []);
    assert_eq!(take_updates(&mut peering)[0].offered_routes(), 1);
    let status = peering.status("router", now + Duration::from_secs(5));
    assert_eq!((status.routes_sent, status.routes_pending, status.seconds), (3, 0, 5));
    assert_eq!((status.remote_as, status.hold_time_seconds, status.established), (Some(65_002), Some(90), 1));
    assert_eq!(
        (&status.families[..], &status.capabilities[..]),
        (&["ipv4".to_owned()][..], &["4-octet-as".to_owned(), "graceful-restart".to_owned()][..])
    );
}

#[test]
fn after_a_restart_the_restart_flag_is_set_until_all_routes_are_announced_again() {
    let now = Instant::now();
    let lose = |peering: &mut Peering| {
        peering.process_connection_event(
            ConnectionRole::Outgoing,
            ConnectionEvent::Lost("reset".into()),
            now,
        );
        peering.process(PeerEvent::Found, now);
    };
    let (mut peering, _) = peering(testing::config(), route_orders(1, Leaving::No, false), true, now);
    assert_eq!(restart_flags(&establish_session(&mut peering, now)), (true, true));
    assert!(take_updates(&mut peering).iter().all(|update| update.end_of_rib_family().is_none()));
    lose(&mut peering);
    assert_eq!(restart_flags(&establish_session(&mut peering, now)), (true, true));
    peering.set_route_orders(route_orders(2, Leaving::No, true), now);
    assert_eq!(take_updates(&mut peering).last().and_then(Update::end_of_rib_family), Some(Family::Ipv4));
    lose(&mut peering);
    assert_eq!(restart_flags(&establish_session(&mut peering, now)), (false, true));
}

#[test]
fn a_fresh_start_claims_no_forwarding_before_its_first_session() {
    let now = Instant::now();
    let (mut peering, _) = peering(testing::config(), route_orders(1, Leaving::No, true), false, now);
    assert_eq!(restart_flags(&establish_session(&mut peering, now)), (false, false));
    peering.process_connection_event(ConnectionRole::Outgoing, ConnectionEvent::Lost("reset".into()), now);
    peering.process(PeerEvent::Found, now);
    assert_eq!(restart_flags(&establish_session(&mut peering, now)), (false, true));
}

#[test]
fn a_drain_marks_withdraws_and_closes_and_can_be_taken_back() {
    let now = Instant::now();
    let (mut peering, _) = peering(testing::config(), route_orders(1, Leaving::No, true), false, now);
    establish_session(&mut peering, now);
    take_updates(&mut peering);
    assert_eq!(peering.set_route_orders(route_orders(1, Leaving::Draining, true), now), []);
    let [marked] = &take_updates(&mut peering)[..] else { panic!("one UPDATE") };
    assert!(marked.attributes.communities.contains(&wire::GRACEFUL_SHUTDOWN));
    assert_eq!(peering.set_route_orders(route_orders(1, Leaving::Withdrawn, true), now), []);
    assert_eq!(take_updates(&mut peering)[0].unreach[&Family::Ipv4].len(), 1);
    let [PeeringCommand::Send(_, bytes), PeeringCommand::Close(_)] =
        &peering.set_route_orders(route_orders(1, Leaving::Closed, true), now)[..]
    else {
        panic!("a NOTIFICATION and a close")
    };
    let Message::Notification(notification) = decode_message(bytes) else { panic!("no NOTIFICATION") };
    assert_eq!(
        (notification.code, notification.text().as_deref()),
        (code::ADMINISTRATIVE_SHUTDOWN, Some("drained"))
    );
    assert_eq!(peering.status("router", now).state, State::Idle);
    assert_eq!(peering.set_route_orders(route_orders(1, Leaving::No, true), now), [PeeringCommand::Connect]);
}

#[test]
fn a_peering_that_is_closed_from_the_start_does_not_connect() {
    let now = Instant::now();
    let (_, commands) = peering(testing::config(), route_orders(1, Leaving::Closed, true), false, now);
    assert_eq!(commands, []);
}

#[test]
fn errors_have_their_rfc_name_and_a_remedy() {
    let now = Instant::now();
    let (mut peering, _) = peering(testing::config(), route_orders(1, Leaving::No, true), false, now);
    establish_session(&mut peering, now);
    let shutdown = Notification::with_text(code::ADMINISTRATIVE_SHUTDOWN, "maintenance at noon");
    peering.process_connection_event(
        ConnectionRole::Outgoing,
        ConnectionEvent::Received(Message::Notification(shutdown)),
        now,
    );
    let error = peering.status("router", now + Duration::from_secs(3)).last_error.unwrap();
    assert_eq!(error.name, "Cease: Administrative Shutdown");
    assert_eq!((error.code, error.sent, error.seconds_ago), (Some((6, 2)), false, 3));
    assert_eq!(error.detail, "maintenance at noon");
    assert!(!error.remedy.is_empty());
}

#[test]
fn failing_to_connect_suggests_what_is_configured() {
    let suggested = |password: Option<&str>| {
        let now = Instant::now();
        let config = PeerConfig { password: password.map(Password::new), ..testing::config() };
        let (mut peering, _) = peering(config, route_orders(1, Leaving::No, true), false, now);
        peering.set_address(Ipv4Addr::new(192, 0, 2, 2).into());
        peering.process(PeerEvent::ConnectFailed("timed out".into()), now);
        let error = peering.status("router", now).last_error.unwrap();
        assert_eq!((error.name.as_str(), error.code), ("Connection Failed", None));
        error.remedy
    };
    let with = suggested(Some("secret"));
    assert!(with.contains("spec.password is the same") && !with.contains("TTL"), "{with}");
    let without = suggested(None);
    assert!(without.contains("wants no password (spec.password)"), "{without}");
}

#[test]
fn routes_of_the_peer_are_counted_and_refused() {
    let now = Instant::now();
    let (mut peering, _) = peering(testing::config(), route_orders(1, Leaving::No, true), false, now);
    establish_session(&mut peering, now);
    let prefixes = vec!["198.51.100.0/24".parse().unwrap(), "203.0.113.0/24".parse().unwrap()];
    let reach = ReachableRoutes { next_hop: RouteNextHop::V4(Ipv4Addr::new(192, 0, 2, 2)), prefixes };
    let update = Update::announce(Family::Ipv4, reach, wire::PathAttributes::default());
    assert_eq!(
        peering.process_connection_event(
            ConnectionRole::Outgoing,
            ConnectionEvent::Received(Message::Update(update)),
            now
        ),
        []
    );
    assert_eq!(peering.status("router", now).routes_refused, 2);
}

#[test]
fn a_route_refresh_is_answered() {
    let now = Instant::now();
    let (mut peering, _) = peering(testing::config(), route_orders(1, Leaving::No, true), false, now);
    establish_session(&mut peering, now);
    take_updates(&mut peering);
    let refresh = Message::RouteRefresh(RouteRefresh::new(Family::Ipv4, RefreshKind::Request));
    peering.process_connection_event(ConnectionRole::Outgoing, ConnectionEvent::Received(refresh), now);
    assert_eq!(take_updates(&mut peering)[0].offered_routes(), 1);
}

/// After they have refused an OPEN, routers accept no connection for a while.
#[test]
fn the_refusal_of_an_open_stays_the_last_error_while_connections_fail() {
    let now = Instant::now();
    let (mut peering, _) = peering(testing::config(), route_orders(0, Leaving::No, true), false, now);
    let addresses = LocalAddresses { local: Ipv4Addr::new(192, 0, 2, 1).into(), v4: None, v6: None };
    peering.set_addresses(ConnectionRole::Outgoing, addresses);
    peering.process(PeerEvent::Connected, now);
    let stranger = Message::Open(Open::new(64_999, 90, Ipv4Addr::new(10, 0, 0, 2), Vec::new()));
    peering.process_connection_event(ConnectionRole::Outgoing, ConnectionEvent::Received(stranger), now);
    let mut fails = |after: u64| {
        let at = now + Duration::from_secs(after);
        peering.process(PeerEvent::Timer, at);
        peering.process(PeerEvent::ConnectFailed("refused".into()), at);
        peering.status("router", at).last_error.unwrap()
    };
    let error = fails(60);
    assert_eq!((error.name.as_str(), error.seconds_ago), ("OPEN Message Error: Bad Peer AS", 60));
    assert_eq!(error.detail, "the router is of AS 64999");
    assert_eq!(fails(600).name, "Connection Failed");
}
