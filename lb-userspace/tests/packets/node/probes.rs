//! A director asks whether this node is alive: what it sent comes back to it
//! without the tunnel. Nobody gets the node to send anything to anybody else.

use lb_common::Verdict::{AnswerProbe, DropTunnelPort, Pass, PassForeignTunnel};

use super::NODES;
use crate::{
    case::{Case, arrives, check_all},
    expect::ip_in_ip_packet,
    machine::{AS_DIRECTOR, Setup},
    packet::{Ip, Payload, SYN, Transport, frame},
    services::NO_SERVICE,
    world::{
        ARRIVING, CLIENT, DIRECTOR, FAMILIES, Family, Host, LEAVING, NODE, OTHER_NODE, STRANGER, VIP, pod,
    },
};

const TUNNELS: [Tunnel; 2] = [Tunnel::Ipip, Tunnel::Gue];

/// How a probe is encapsulated.
#[derive(Clone, Copy, Debug)]
enum Tunnel {
    Ipip,
    Gue,
}

impl Tunnel {
    /// `inner` on its way, in a frame.
    fn encapsulate(self, family: Family, (from, to): (Host, Host), inner: &Ip) -> Vec<u8> {
        let (src, dst) = (from.ip(family), to.ip(family));
        let outer = match self {
            Self::Ipip => ip_in_ip_packet(inner, src, dst),
            Self::Gue => {
                let mut datagram = Transport::udp().with_ports(45_000, 6080);
                datagram.data = [&[0, if inner.is_v4() { 4 } else { 41 }, 0, 0], &inner.bytes()[..]].concat();
                Ip::new(src, dst, Payload::Transport(datagram))
            }
        };
        frame(ARRIVING, &outer)
    }
}

/// What is to come back.
fn probe_answer(family: Family, (from, to): (Host, Host), transport: Transport) -> Ip {
    Ip::new(from.ip(family), to.ip(family), Payload::Transport(transport.with_ports(6080, 45_000)))
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for tunnel in TUNNELS {
        for family in FAMILIES {
            cases.extend(NODES.into_iter().flat_map(|setup| cases_on_node(tunnel, family, setup)));
            let question = probe_answer(family, (NODE, DIRECTOR), Transport::udp());
            let frame = tunnel.encapsulate(family, (DIRECTOR, NODE), &question);
            let name = format!("a probe by {tunnel:?} over {family:?} of what is no node");
            cases.push(arrives(name, AS_DIRECTOR, frame).untouched(Pass));
        }
    }
    cases
}

fn cases_on_node(tunnel: Tunnel, family: Family, setup: Setup) -> Vec<Case> {
    let udp = Transport::udp;
    let good = probe_answer(family, (NODE, DIRECTOR), udp());
    let given = |what: &str, between, inner: &Ip| {
        let name = format!("a probe by {tunnel:?} over {family:?} on {setup}: {what}");
        arrives(name, setup, tunnel.encapsulate(family, between, inner))
    };
    let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
    let mut cases = vec![
        given("from a director", (DIRECTOR, NODE), &good).becomes(AnswerProbe, frame(LEAVING, &good)),
        given("of the other family", (DIRECTOR, NODE), &probe_answer(other, (NODE, DIRECTOR), udp()))
            .untouched(PassForeignTunnel),
        given("not UDP", (DIRECTOR, NODE), &probe_answer(family, (NODE, DIRECTOR), Transport::tcp(SYN)))
            .untouched(PassForeignTunnel),
        // As whatever comes from a director for a VIP.
        given("back to a VIP", (DIRECTOR, NODE), &{
            let mut ip = probe_answer(family, (NODE, VIP), udp());
            ip.transport().dst_port = NO_SERVICE;
            ip
        })
        .dropped(DropTunnelPort),
    ];
    // It may have become a director before this node has heard of it.
    let fellow = probe_answer(family, (NODE, OTHER_NODE), udp());
    cases.push(
        given("from another node", (OTHER_NODE, NODE), &fellow).becomes(AnswerProbe, frame(LEAVING, &fellow)),
    );
    let froms = [("a stranger", STRANGER), ("a client", CLIENT), ("itself", NODE)];
    cases.extend(froms.map(|(who, from)| {
        let what = format!("from {who}");
        given(&what, (from, NODE), &probe_answer(family, (NODE, from), udp())).untouched(PassForeignTunnel)
    }));
    let elsewhere = [("a client", CLIENT), ("another node", OTHER_NODE), ("a Pod", pod(1)), ("itself", NODE)];
    cases.extend(elsewhere.map(|(whom, to)| {
        let what = format!("back to {whom}");
        given(&what, (DIRECTOR, NODE), &probe_answer(family, (NODE, to), udp())).untouched(PassForeignTunnel)
    }));
    let others = [("a client", CLIENT), ("another node", OTHER_NODE), ("the director", DIRECTOR)];
    cases.extend(others.map(|(who, from)| {
        let what = format!("as if from {who}");
        given(&what, (DIRECTOR, NODE), &probe_answer(family, (from, DIRECTOR), udp()))
            .untouched(PassForeignTunnel)
    }));
    cases.push(given("of another machine", (DIRECTOR, OTHER_NODE), &good).untouched(PassForeignTunnel));
    cases
}

#[test]
fn a_node_sends_a_directors_probe_back_and_nothing_else() {
    check_all(&cases());
}
