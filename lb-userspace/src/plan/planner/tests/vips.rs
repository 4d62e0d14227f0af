//! What the programs are told of a VIP.

use std::slice::from_ref;

use lb_common::maps::{Vip, vip_flags};

use super::*;

const VIP: &str = "192.0.2.1";

/// The flags of the VIP of one service, as a director has them.
fn vip_flags_of(backends: Backends, me: &Identity, dead: &Dead) -> u32 {
    let cluster = cluster(vec![service(VIP, DeliveryMode::Gue, backends)]);
    let plan = planned_with_dead(&cluster, me, dead);
    plan.vips[&Addr::from(ip(VIP))].flags
}

#[test]
fn pings_are_answered_while_a_backend_takes_connections() {
    let director = me("director", roles::DIRECTOR);
    let both = || endpoints(&[("near", "10.9.0.1"), ("far", "10.9.1.1")]);
    let answers = |backends, dead: &Dead| vip_flags_of(backends, &director, dead) & vip_flags::ECHO != 0;
    let near = ("10.0.0.2", DeliveryMode::Gue);
    assert!(answers(both(), &Dead::new()));
    assert!(answers(both(), &dead(&[near])), "one of two lives");
    assert!(!answers(both(), &dead(&[near, ("10.1.0.3", DeliveryMode::Gue)])), "all look dead");
    assert!(!answers(endpoints(&[]), &Dead::new()), "there is none");
    assert!(!answers(Backends::Bare(vec![]), &Dead::new()), "there is no server");
    assert!(answers(Backends::Bare(vec![ip("10.0.0.2")]), &Dead::new()));
    let Backends::Endpoints(mut draining) = both() else { panic!("endpoints are not bare servers") };
    draining.iter_mut().for_each(|endpoint| endpoint.draining = true);
    assert!(!answers(Backends::Endpoints(draining), &Dead::new()), "all drain");
    let silent = Identity { answer_echo: false, ..director.clone() };
    assert_eq!(vip_flags_of(both(), &silent, &Dead::new()) & vip_flags::ECHO, 0);
}

#[test]
fn one_service_of_a_vip_is_enough_for_pings() {
    let (frontend, idle) = service(VIP, DeliveryMode::Gue, endpoints(&[]));
    let busy = service(VIP, DeliveryMode::Gue, endpoints(&[("near", "10.9.0.1")])).1;
    let other = Frontend { port: 81, ..frontend };
    let busy = Arc::new(Service { frontend: other, ..Service::clone(&busy) });
    let plan = planned(&cluster(vec![(frontend, idle), (other, busy)]), &me("director", roles::DIRECTOR));
    assert_ne!(plan.vips[&Addr::from(ip(VIP))].flags & vip_flags::ECHO, 0);
}

/// Where fragments to the VIP of these services meet: port and protocol.
fn meeting(services: &[(Frontend, Service)], passed: &[Frontend], me: &Identity) -> Option<(u16, u8)> {
    let services = services
        .iter()
        .map(|(frontend, service)| (*frontend, Arc::new(Service { frontend: *frontend, ..service.clone() })));
    let mut cluster = cluster(services.collect());
    for frontend in passed {
        cluster.passed.insert(*frontend, "kube-system/dns".into());
    }
    let (port, protocol) = planned(&cluster, me).vips[&Addr::from(ip(VIP))].meeting();
    (protocol != 0).then_some((u16::from_be(port), protocol))
}

#[test]
fn fragments_meet_at_a_service_whose_nodes_can_hand_them_on() {
    let director = me("director", roles::DIRECTOR);
    let port = |port, protocol| Frontend { vip: ip(VIP), port, protocol };
    let of = |backends| Service::clone(&service(VIP, DeliveryMode::Gue, backends).1);
    let (pods, empty) = (of(endpoints(&[("near", "10.9.0.1")])), of(endpoints(&[])));
    let (tcp, udp) = (Protocol::Tcp.number(), Protocol::Udp.number());
    let web = (port(80, Protocol::Tcp), pods.clone());
    let dns = |service| (port(5353, Protocol::Udp), service);
    let at = |services: &[(Frontend, Service)]| meeting(services, &[], &director);
    assert_eq!(at(from_ref(&web)), Some((80, tcp)));
    assert_eq!(at(&[web.clone(), (port(79, Protocol::Tcp), pods.clone())]), Some((79, tcp)));
    assert_eq!(at(&[web.clone(), dns(pods.clone())]), Some((5353, udp)), "datagrams come in fragments");
    assert_eq!(at(&[web.clone(), dns(empty)]), Some((80, tcp)), "there is a ring");
    assert_eq!(at(&[web.clone(), dns(of(Backends::Bare(vec![ip("10.0.0.2")])))]), None);
    assert_eq!(at(&[web.clone(), dns(Service { local: true, ..pods })]), None);
    assert_eq!(meeting(from_ref(&web), &[port(53, Protocol::Udp)], &director), None, "kube-proxy's");
    let silent = Identity { asks_former_owners: false, ..director.clone() };
    assert_eq!(meeting(&[web], &[], &silent), None, "nodes ask nobody");
    let entry = Vip { flags: vip_flags::ECHO }.with_meeting(80u16.to_be(), tcp);
    assert_eq!((entry.meeting(), entry.flags & vip_flags::ECHO), ((80u16.to_be(), tcp), vip_flags::ECHO));
}
