use std::sync::Arc;

use lb_common::{
    maps::{Vip, delivery},
    verdict::Fate,
};

use super::*;
use crate::{
    agent::explain::frame,
    neigh::{NextHop, Reach},
    objects::model::Node,
};

const FLOW: &str = "tcp 198.51.100.7:4242 -> 192.0.2.10:80";

fn addr(text: &str) -> Addr {
    Addr::from(text.parse::<IpAddr>().unwrap())
}

/// A node of backend `id`: `10.0.0.ID`.
fn backend(id: u8, flags: u8) -> Backend {
    let flags = backend_flags::RESOLVED | flags;
    let outer_dst = addr(&format!("10.0.0.{id}"));
    Backend { outer_dst, delivery: delivery::GUE4, flags, mtu: 1500, ..Backend::default() }
}

/// One service, whose slot 1 went from node1 over node3 to node2.
struct StoryWorld {
    mirror: Mirror,
    plan: Plan,
    cluster: Cluster,
    hops: NextHops,
}

impl StoryWorld {
    fn new() -> Self {
        let key =
            |port: u16| ServiceKey { addr: addr("192.0.2.10"), port: port.to_be(), protocol: 6, pad: 0 };
        let service = Service {
            id: 7,
            ring_offset: 32,
            ring_len: 2,
            history_offset: 32,
            generation: 5,
            ..Service::default()
        };
        let owners = |ids: [u16; 8]| Owners { ids };
        let histories = [owners([1, 0, 0, 0, 0, 0, 0, 0]), owners([2, 3, 1, 0, 0, 0, 0, 0])];
        let mut mirror = Mirror {
            services: [(key(80), service), (key(443), Service { id: 8, ..service })].into_iter().collect(),
            vips: ["192.0.2.10", "2001:db8::10"].map(|vip| (addr(vip), Vip::default())).into_iter().collect(),
            backends: (1..=4).map(|id| (u16::from(id), backend(id, 0))).collect(),
            ..Mirror::default()
        };
        mirror.rings.write(32, Arc::from([1, 2]));
        mirror.histories.write(32, Arc::from(histories));
        let node = |id: u8| Node {
            name: format!("node{id}").into(),
            addresses: vec![IpAddr::from([10, 0, 0, id])],
            director: false,
            ..Node::default()
        };
        let nodes = (1..=3).map(node).map(|node| (node.name.clone(), Arc::new(node))).collect();
        let hop = NextHop {
            ifindex: 3,
            interface: "eth0".into(),
            device: 3,
            dst_mac: Some([4; 6]),
            ..NextHop::on_uplink()
        };
        let hops = NextHops::unit(IpAddr::from([10, 0, 0, 2]), Reach::Via(hop));
        Self { mirror, plan: Plan::default(), cluster: Cluster { nodes, ..Cluster::default() }, hops }
    }

    fn tell(&self, flow: &str, change: impl FnOnce(&mut Story)) -> PacketStory {
        let flow: Flow = flow.parse().unwrap();
        let mut story = Story::of_packet_from(3);
        change(&mut story);
        let frame = frame::build_frame(&flow, PacketKind::Syn, 0, None).unwrap();
        let context =
            StoryContext { mirror: &self.mirror, plan: &self.plan, cluster: &self.cluster, hops: &self.hops };
        build_packet_story(context, &flow, PacketKind::Syn, &story, &frame)
    }
}

fn machine(id: u8) -> Machine {
    Machine { node: Some(format!("node{id}")), address: [10, 0, 0, id].into() }
}

#[test]
fn a_story_from_a_director_has_service_slot_owner_and_path() {
    let story = StoryWorld::new().tell(FLOW, |story| {
        story.verdict = Verdict::ForwardGue as u32;
        story.service = 7;
        story.slot = 1;
        story.backend = 2;
    });
    assert_eq!(story.service.map(|service| (service.vip.port(), service.generation)), Some((80, 5)));
    assert_eq!(story.slot.map(|slot| (slot.slot, slot.of, slot.owner)), Some((1, 2, Some(machine(2)))));
    assert_eq!(story.choice.map(|choice| choice.peer), Some(machine(2)));
    let way = story.way.unwrap();
    assert_eq!((way.delivery.as_str(), way.mtu), ("gue", 1500));
    assert_eq!(way.next_hop, "on link dev eth0 04:04:04:04:04:04");
    assert_eq!((story.verdict.as_str(), story.fate.as_str()), ("forward_gue", "transmit"));
    assert_eq!(story.hints, [format!("`trigon explain --at-node node2 '{FLOW}'`, on node2, tells the rest")]);
    assert_eq!(story.remedy, None);
}

#[test]
fn a_story_from_a_node_has_former_owners_and_the_one_handed_on_to() {
    let mut world = StoryWorld::new();
    let hand_on = |story: &mut Story| {
        story.verdict = Verdict::HandOn as u32;
        (story.service, story.slot, story.next, story.hops) = (7, 1, 3, 1);
    };
    let story = world.tell(FLOW, hand_on);
    assert_eq!(story.slot.unwrap().former, Some(vec![machine(3), machine(1)]));
    let choice = story.choice.unwrap();
    assert_eq!(choice.peer, machine(3));
    assert!(choice.why.contains("of the slot's list"), "{}", choice.why);
    // A machine that is no node has no history: former owners are unknown, not empty.
    world.mirror.histories = Default::default();
    assert_eq!(world.tell(FLOW, hand_on).slot.unwrap().former, None);
}

#[test]
fn a_delivered_packet_has_an_endpoint_and_no_path() {
    let mut world = StoryWorld::new();
    world.mirror.backends.insert(2, backend(2, backend_flags::LOCAL));
    for (memory, known, inside) in [(memory::BEGINS, false, true), (memory::HERE, true, false)] {
        let story = world.tell(FLOW, |story| {
            story.verdict = Verdict::Deliver as u32;
            (story.service, story.backend, story.memory) = (7, 2, memory);
            story.inside = inside.into();
            story.endpoint.addr = addr("10.1.0.5");
            story.endpoint.port = 8080u16.to_be();
        });
        let endpoint = "10.1.0.5:8080".parse().unwrap();
        assert_eq!(story.endpoint, Some(EndpointStory { endpoint, known, inside }));
        assert_eq!((story.choice, story.way), (None, None));
        assert!(story.hints.is_empty(), "{:?}", story.hints);
    }
}

#[test]
fn a_bare_server_has_no_node_to_ask() {
    let mut world = StoryWorld::new();
    world.mirror.backends.insert(2, backend(2, backend_flags::BARE));
    let story = world.tell(FLOW, |story| {
        story.verdict = Verdict::ForwardIpip as u32;
        (story.service, story.backend, story.memory) = (7, 2, memory::ELSEWHERE);
    });
    let choice = story.choice.unwrap();
    assert_eq!(choice.peer, Machine { node: None, address: [10, 0, 0, 2].into() });
    assert!(choice.why.contains("began with"), "{}", choice.why);
    assert!(story.hints.is_empty(), "{:?}", story.hints);
}

#[test]
fn a_wrong_port_or_vip_is_answered_with_the_right_ones() {
    let world = StoryWorld::new();
    let drop = |story: &mut Story| story.verdict = Verdict::DropNoSuchPort as u32;
    let story = world.tell("tcp 198.51.100.7:4242 -> 192.0.2.10:81", drop);
    assert_eq!(story.hints, ["192.0.2.10 has tcp 80, tcp 443"]);
    assert!(story.remedy.is_some());
    let pass = |story: &mut Story| story.verdict = Verdict::Pass as u32;
    let story = world.tell("tcp 198.51.100.7:4242 -> 192.0.2.11:80", pass);
    assert_eq!(story.hints, ["192.0.2.11 is not an owned VIP; those of its family are 192.0.2.10"]);
    let story = world.tell("icmp 2001:db8::7 -> 2001:db8::11", pass);
    assert_eq!(story.hints, ["2001:db8::11 is not an owned VIP; those of its family are 2001:db8::10"]);
}

#[test]
fn long_lists_are_cut() {
    assert_eq!(join_few::<u8>(&[]), "none");
    assert_eq!(join_few(&[1, 2]), "1, 2");
    assert_eq!(join_few(&(1..=10).collect::<Vec<_>>()), "1, 2, 3, 4, 5, 6, 7, 8 and 2 more");
}

/// Values that a program of another release may have written.
#[test]
fn any_values_in_a_story_give_a_report() {
    let world = StoryWorld::new();
    let values = [0, 1, 2, 7, 200, u32::from(u16::MAX), 1 << 16, NOT_TOLD - 1, NOT_TOLD];
    for verdict in Verdict::all() {
        for value in values {
            let story = world.tell(FLOW, |story| {
                story.verdict = verdict as u32;
                (story.service, story.slot, story.backend) = (7, value, value);
                (story.memory, story.next, story.hops) = (value, value, value);
            });
            assert_eq!(story.remedy.is_some(), verdict.fate() == Fate::Drop);
        }
    }
}
