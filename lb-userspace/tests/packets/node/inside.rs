//! Clients on this node: their endpoints here see the VIP as the client.

use std::net::IpAddr;

use lb_common::{
    Addr,
    Verdict::{Deliver, EgressReply, EgressReturn},
    hash,
    maps::{FlowKey, NodeFlow, Reply, ReplyKey, names, uplinks},
};
use lb_testbed::{Namespace, Namespaces};

use super::{NODES, kinds_in_tunnels};
use crate::{
    case::{Case, arrives, check_all, leaves},
    expect::{
        at_endpoint, from_director, from_vip, hidden_at_endpoint, reply, reply_to_vip, returned,
        with_zero_checksum,
    },
    machine::{AS_NODE, Machine, WITH_INSIDE_FLOWS, flow_entry, inside_flow_entry, inside_reply_entry},
    packet::{Icmp, Ip, Payload, frame},
    services::{LOCAL, LOCAL_TOO, STICKY, monotonic_seconds},
    world::{ARRIVING, CLIENT, Family, Host, KINDS, Kind, LEAVING, NODE, Request, STRANGER, pod},
};

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = kinds_in_tunnels().flat_map(|(kind, outer)| begun(kind, outer)).collect();
    cases.extend(KINDS.into_iter().flat_map(known));
    cases.extend(KINDS.into_iter().flat_map(errors));
    cases
}

/// As the endpoint sees it, from the client's own port.
fn hidden(request: &Request) -> Request {
    hidden_at_endpoint(request, pod(1), request.client_port())
}

/// By the address of the node itself, which directors send to.
fn begun(kind: Kind, outer: Family) -> Vec<Case> {
    let request = kind.request(LOCAL).with_client(NODE);
    let begins = |setup| {
        let name = format!("{kind} from {setup} itself in {outer:?}");
        let given = arrives(name, setup, from_director(outer, &request.ip));
        given.becomes(Deliver, hidden(&request).frame()).for_service(&request)
    };
    NODES.map(begins).into()
}

fn known(kind: Kind) -> Vec<Case> {
    let delivered = |what: &str, request: Request| {
        let name = format!("{kind} of a known client inside{what}");
        let given = arrives(name, WITH_INSIDE_FLOWS, from_director(kind.family, &request.ip));
        given.becomes(Deliver, hidden(&request).frame()).for_service(&request)
    };
    let request = kind.request(LOCAL).into_later_packet();
    let becomes_zero = |ip: &Ip| hidden(&Request { ip: ip.clone(), ..request.clone() }).ip;
    let zero = with_zero_checksum(request.ip.clone(), becomes_zero);
    let given = arrives(format!("{kind} of a client inside, by MAC"), WITH_INSIDE_FLOWS, request.frame());
    let mut cases = vec![
        delivered("", request.clone()),
        delivered(", of an odd length", request.clone().with_len(99)),
        delivered(", as long as may be", request.clone().with_len(1480)),
        delivered(", whose checksum comes out as zero", Request { ip: zero, ..request.clone() }),
        given.becomes(Deliver, hidden(&request).frame()).for_service(&request),
    ];
    if !kind.is_tcp && kind.family == Family::V4 {
        cases.push(delivered(", without checksum", request.without_checksum()));
    }
    cases
}

/// About what the client, or this node before it, got: from the VIP, and about what the endpoint has
/// sent to the VIP.
fn errors(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let sent = Ip { ttl: 44, ..reply_to_vip(&request, pod(1), request.client_port()) };
    let seen = returned(&request, &sent);
    let what = if kind.family == Family::V4 { (3, 4) } else { (2, 0) };
    let error = |src: IpAddr, about: &Ip, len| {
        let payload = Payload::Icmp(Icmp::error(what.0, what.1, 1300, about, len));
        Ip { tos: 0xc0, id: 0x77, label: 0x7_1828, ttl: 61, ..Ip::new(src, about.src, payload) }
    };
    let transport = kind.header_len() + if kind.is_tcp { 20 } else { 8 };
    let lens = [("all", usize::MAX), ("the headers", transport), ("8 bytes", kind.header_len() + 8)];
    let told = lens.map(|(how_much, len)| {
        let input = error(NODE.ip(kind.family), &seen, len);
        let output = error(request.ip.dst, &sent, len);
        let name = format!("an error about {kind} inside, {how_much} quoted");
        let given = arrives(name, WITH_INSIDE_FLOWS, from_director(kind.family, &input));
        let case = given.becomes(Deliver, frame(ARRIVING, &output)).for_service(&request);
        case.with_counted_len(input.bytes().len())
    });
    told.into()
}

#[test]
fn endpoints_see_the_vip_as_their_client() {
    check_all(&cases());
}

#[test]
fn a_rewrite_leaves_any_checksum_right() {
    for kind in KINDS {
        let machine = Machine::new(WITH_INSIDE_FLOWS);
        let request = kind.request(LOCAL).into_later_packet();
        for number in 0..2000u16 {
            let mut request = request.clone();
            request.ip.transport().data = number.to_be_bytes().into();
            let output = machine.run_xdp(&request.frame()).output;
            assert!(output == hidden(&request).frame(), "{kind}, {number}");
        }
    }
}

/// They depend on each other.
#[test]
fn later_fragments_have_the_vip_as_their_source_too() {
    for kind in KINDS {
        let machine = Machine::new(WITH_INSIDE_FLOWS);
        let request = kind.request(LOCAL).with_len(300);
        let parts = |ip: &Ip| ip.fragments(0x2211, &[64, 80, 72]);
        for (n, (part, at_pod)) in parts(&request.ip).iter().zip(parts(&hidden(&request).ip)).enumerate() {
            let input = from_director(kind.family, part);
            let given = arrives(format!("fragment {n}, {kind}"), WITH_INSIDE_FLOWS, input);
            let case = given.becomes(Deliver, frame(ARRIVING, &at_pod)).for_service(&request);
            case.with_counted_len(part.bytes().len()).assert_on(&machine);
        }
    }
}

/// A node, and clients on it.
struct InsideStory {
    machine: Machine,
    kind: Kind,
}

impl InsideStory {
    fn new(kind: Kind) -> Self {
        Self { machine: Machine::new(AS_NODE), kind }
    }

    /// The endpoint sees the VIP at this port.
    fn is_hidden(&self, request: &Request, port: u16) {
        let output = hidden_at_endpoint(request, pod(1), port).frame();
        self.becomes(request, output);
    }

    /// The endpoint sees the client itself.
    fn is_seen(&self, request: &Request) {
        self.becomes(request, at_endpoint(request, pod(1)).frame());
    }

    fn becomes(&self, request: &Request, output: Vec<u8>) {
        let name = format!("{} from {}", self.kind, request.ip.src);
        let given = arrives(name, AS_NODE, from_director(self.kind.family, &request.ip));
        given.becomes(Deliver, output).for_service(request).assert_on(&self.machine);
    }

    /// What the endpoint answers to that port comes back to the client.
    fn is_returned(&self, request: &Request, port: u16) {
        let answer = reply_to_vip(request, pod(1), port);
        let output = frame(ARRIVING, &returned(request, &answer));
        let name = format!("{} to {}", self.kind, request.ip.src);
        let given = leaves(name, AS_NODE, frame(LEAVING, &answer));
        given.becomes(EgressReturn, output).assert_on(&self.machine);
    }

    /// What the endpoint answers leaves for the client.
    fn is_answered(&self, request: &Request) {
        let answer = reply(request, pod(1)).ip;
        let output = frame(LEAVING, &from_vip(request, &answer));
        let name = format!("{} to {}", self.kind, request.ip.src);
        let given = leaves(name, AS_NODE, frame(LEAVING, &answer));
        given.becomes(EgressReply, output).assert_on(&self.machine);
    }

    /// A flow of a client on this node, to `pod(1)`, that has begun before.
    fn has_begun(&mut self, request: &Request, port: u16, seen: u32) {
        let (key, reply) = inside_reply_entry(request, pod(1));
        let key = ReplyKey { client_port: port.to_be(), ..key };
        self.machine.map::<ReplyKey, Reply>(names::NODE_REPLIES).insert(key, reply, 0).unwrap();
        let (key, flow) = inside_flow_entry(request, pod(1));
        let flow = NodeFlow { client_port: port.to_be(), seen, ..flow };
        self.machine.map::<FlowKey, NodeFlow>(names::NODE_FLOWS).insert(key, flow, 0).unwrap();
    }

    fn only_flow(&mut self) -> (FlowKey, NodeFlow) {
        let flows: Vec<_> = self.machine.map(names::NODE_FLOWS).iter().map(Result::unwrap).collect();
        assert_eq!(flows.len(), 1, "{flows:?}");
        flows[0]
    }

    fn forget(&mut self, request: &Request) {
        self.machine.map::<FlowKey, NodeFlow>(names::NODE_FLOWS).remove(&request.flow()).unwrap();
    }
}

/// The port that the endpoint sees instead, at an attempt from 1 on.
fn substitute(request: &Request, attempt: u32) -> u16 {
    u16::from_be(hash::substitute_port(request.hash(), request.service(), attempt))
}

#[test]
fn both_directions_of_a_flow_are_remembered_with_their_mark() {
    for kind in KINDS {
        let mut story = InsideStory::new(kind);
        let request = kind.request(LOCAL).with_client(NODE);
        let port = request.client_port();
        story.is_hidden(&request, port);
        let (key, flow) = story.only_flow();
        let expected = inside_flow_entry(&request, pod(1));
        assert_eq!((key, NodeFlow { seen: 0, ..flow }), expected);
        assert!(monotonic_seconds() - flow.seen < 60, "{flow:?}");
        let slot = flow_entry(&request, pod(1)).1.marked_slot;
        assert!(flow.is_inside() && flow.slot() == slot);
        let replies: Vec<(ReplyKey, Reply)> =
            story.machine.map(names::NODE_REPLIES).iter().map(Result::unwrap).collect();
        assert_eq!(replies, [inside_reply_entry(&request, pod(1))]);
        assert!(replies[0].1.is_inside() && replies[0].1.service() == request.service());
        story.is_hidden(&request.clone().into_later_packet(), port);
        story.is_returned(&request, port);
    }
}

/// To the endpoint, all of them are one client.
#[test]
fn two_clients_with_one_port_get_replies_of_their_own() {
    for kind in KINDS {
        let mut story = InsideStory::new(kind);
        let (first, second) =
            (kind.request(LOCAL).with_client(pod(7)), kind.request(LOCAL).with_client(NODE));
        let (own, other) = (first.client_port(), substitute(&second, 1));
        story.has_begun(&first, own, 1);
        for _ in 0..2 {
            story.is_hidden(&second, other);
            story.is_hidden(&second.clone().into_later_packet(), other);
            story.is_hidden(&first.clone().into_later_packet(), own);
            story.is_returned(&first, own);
            story.is_returned(&second, other);
        }
        // When the first one's flow is over, the port is free.
        story.forget(&first);
        story.forget(&second);
        story.is_hidden(&second, own);
        story.is_returned(&second, own);
    }
}

#[test]
fn two_services_at_one_endpoint_get_replies_of_their_own() {
    for kind in KINDS {
        let story = InsideStory::new(kind);
        let request = |port| kind.request(port).with_client(NODE);
        let (first, second) = (request(LOCAL), request(LOCAL_TOO));
        let (own, other) = (first.client_port(), substitute(&second, 1));
        story.is_hidden(&first, own);
        story.is_hidden(&second, other);
        story.is_returned(&first, own);
        story.is_returned(&second, other);
    }
}

/// Of a client outside, the flow would be dropped: together, those inside have no more ports than one
/// such client, and most that are taken are so by connections that have ended.
#[test]
fn where_all_ports_are_taken_that_of_the_idlest_flow_is_taken_over() {
    for kind in KINDS {
        let now = monotonic_seconds();
        for idlest in [0, 3, 8] {
            let mut story = InsideStory::new(kind);
            let request = kind.request(LOCAL).with_client(NODE);
            let substitutes = (1..=8).map(|attempt| substitute(&request, attempt));
            let ports: Vec<_> = [request.client_port()].into_iter().chain(substitutes).collect();
            let other = |number: usize| {
                kind.request(LOCAL).with_client(pod(7)).with_client_port(30_000 + number as u16)
            };
            for (number, port) in ports.iter().enumerate() {
                let idle = if number == idlest { 1000 } else { number as u32 };
                story.has_begun(&other(number), *port, now.saturating_sub(idle).max(1));
            }
            story.is_hidden(&request, ports[idlest]);
            story.is_returned(&request, ports[idlest]);
            story.is_hidden(&request.clone().into_later_packet(), ports[idlest]);
            let kept = (idlest + 1) % 9;
            story.is_returned(&other(kept), ports[kept]);
        }
    }
}

/// It is how the idlest is found.
#[test]
fn each_packet_of_a_flow_inside_says_that_it_is_in_use() {
    for kind in KINDS {
        let mut story = InsideStory::new(kind);
        let request = kind.request(LOCAL).with_client(NODE).into_later_packet();
        story.has_begun(&request, request.client_port(), 1);
        story.is_hidden(&request, request.client_port());
        let (_, flow) = story.only_flow();
        assert!(monotonic_seconds() - flow.seen < 60, "{kind}: {flow:?}");
    }
}

/// A client stays what it was when its flow began, wherever it is now.
#[test]
fn a_flow_that_was_begun_from_outside_stays_so() {
    for kind in KINDS {
        let mut story = InsideStory::new(kind);
        let request = kind.request(LOCAL).with_client(NODE);
        let (key, flow) = flow_entry(&request, pod(1));
        story.machine.map::<FlowKey, NodeFlow>(names::NODE_FLOWS).insert(key, flow, 0).unwrap();
        story.is_seen(&request.into_later_packet());
    }
}

#[test]
fn clients_inside_stay_with_their_endpoint_where_clients_do() {
    for kind in KINDS {
        let story = InsideStory::new(kind);
        let request = |port| kind.request(STICKY).with_client(NODE).with_client_port(port);
        let number = hash::endpoint(request(1).hash(), 3) as u8 + 1;
        for port in 40_000..40_004 {
            let request = request(port);
            story.becomes(&request, hidden_at_endpoint(&request, pod(number), port).frame());
        }
    }
}

#[test]
fn a_flow_inside_stays_with_an_endpoint_that_drains_unless_it_is_udp_and_idle() {
    for kind in KINDS {
        let mut story = InsideStory::new(kind);
        let request = kind.request(LOCAL).with_client(NODE);
        let port = request.client_port();
        story.is_hidden(&request, port);
        let later = request.into_later_packet();
        story.machine.set_endpoint((kind, LOCAL), 0, pod(2));
        story.machine.set_drained((kind, LOCAL), pod(1), monotonic_seconds() - 20);
        story.is_hidden(&later, port);
        story.machine.set_drained((kind, LOCAL), pod(1), monotonic_seconds() - 40);
        let (key, flow) = story.only_flow();
        let flow = NodeFlow { seen: monotonic_seconds() - 35, ..flow };
        story.machine.map(names::NODE_FLOWS).insert(key, flow, 0).unwrap();
        let expected = if kind.is_tcp { pod(1) } else { pod(2) };
        story.becomes(&later, hidden_at_endpoint(&later, expected, port).frame());
    }
}

/// The interfaces of [`network`], by index.
const UPLINK: u32 = 10;
const ON_UPLINK: u32 = 100;
const PODS: u32 = 1000;

const FAR_CLIENT: Host = STRANGER;
/// Has no Trigon to tell the directors of it.
const OTHER_ADDRESS: Host = pod(200);
/// Packets of Pods go to it by the uplink, others by an interface that is none.
const CLIENT_BY_RULE: Host = pod(202);
const TABLE: u32 = 77;
const POD_NETWORKS: [&str; 2] = ["10.1.0.0/16", "2001:db8:0:1000::/52"];

/// A node's: Pods behind an interface, the world behind the uplink, some of it behind what stands on
/// that.
fn network(all: &Namespaces) -> Namespace {
    let node = all.add("node").unwrap();
    node.write_sysctls(&[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")]).unwrap();
    let mut lines = String::new();
    for (name, index) in [("up0", UPLINK), ("on0", ON_UPLINK), ("pods0", PODS)] {
        lines += &format!("link add {name} index {index} type veth peer name {name}-far\n");
        lines += &format!("link set dev {name}-far up\nlink set dev {name} up\n");
    }
    for (index, family) in [Family::V4, Family::V6].into_iter().enumerate() {
        let (near, far) = [("10.9.9.1/24", "10.9.9.2"), ("2001:db8:9::1/64", "2001:db8:9::2")][index];
        let pods = POD_NETWORKS[index];
        let other = OTHER_ADDRESS.ip(family);
        let len = if family == Family::V4 { 32 } else { 128 };
        lines += &format!(
            "address add {near} dev up0\naddress add {other}/{len} dev up0\n\
             route add default via {far} dev up0\nroute add {pods} dev pods0\n\
             route add {}/{len} dev on0\nroute add blackhole {}/{len}\n",
            FAR_CLIENT.ip(family),
            pod(201).ip(family),
        );
    }
    node.ip_batch(&lines).unwrap();
    for (option, family, pods) in [("-4", Family::V4, POD_NETWORKS[0]), ("-6", Family::V6, POD_NETWORKS[1])] {
        let client = CLIENT_BY_RULE.ip(family);
        node.ip(&format!("{option} route add {client} dev on0 table {TABLE}")).unwrap();
        node.ip(&format!("{option} rule add from {pods} to {client} lookup {TABLE}")).unwrap();
    }
    node
}

/// Whose reply would leave by an uplink, and so be made the VIP's there?
#[test]
fn who_is_inside_is_asked_of_the_routes() {
    let all = Namespaces::new().unwrap();
    let node = network(&all);
    let test = node.spawn_thread(|| {
        for kind in KINDS {
            check_who_is_inside(kind);
        }
        Ok(())
    });
    test.unwrap().join().unwrap().unwrap();
    // Without forwarding the kernel answers nothing.
    node.write_sysctls(&[("ipv4/ip_forward", "0"), ("ipv6/conf/all/forwarding", "0")]).unwrap();
    let test = node.spawn_thread(|| {
        for kind in KINDS {
            let story = InsideStory::with_uplinks(kind);
            story.is_seen(&kind.request(LOCAL).with_client(pod(7)));
            let own = kind.request(LOCAL).with_client(NODE);
            story.is_hidden(&own, own.client_port());
        }
        Ok(())
    });
    test.unwrap().join().unwrap().unwrap();
}

impl InsideStory {
    fn with_uplinks(kind: Kind) -> Self {
        let mut story = Self::new(kind);
        for index in [UPLINK, ON_UPLINK, uplinks::COMPLETE] {
            story.machine.map::<u32, u32>(names::UPLINKS).insert(index, index, 0).unwrap();
        }
        story
    }
}

fn check_who_is_inside(kind: Kind) {
    let mut story = InsideStory::with_uplinks(kind);
    let request = |client| kind.request(LOCAL).with_client(client);
    for client in [pod(7), pod(8), OTHER_ADDRESS, NODE] {
        // Each from a port of its own: to the endpoint they are one client.
        let port = 30_000 + u16::from(Addr::from(client.ip(kind.family)).bytes[15]);
        let request = request(client).with_client_port(port);
        story.is_hidden(&request, port);
        story.is_returned(&request, port);
    }
    // By the default route, by what stands on the uplink, by a rule for what Pods send, and by no way at all.
    for client in [CLIENT, FAR_CLIENT, CLIENT_BY_RULE, pod(201)] {
        story.is_seen(&request(client));
        story.is_answered(&request(client));
    }
    // Until the agent has told all uplinks, each interface counts as one.
    story.machine.map::<u32, u32>(names::UPLINKS).remove(&uplinks::COMPLETE).unwrap();
    story.is_seen(&request(pod(9)));
    // A flow that has begun stays what it is.
    let begun = request(pod(7));
    let port = 30_000 + u16::from(Addr::from(begun.ip.src).bytes[15]);
    story.is_hidden(&begun.with_client_port(port).into_later_packet(), port);
}
