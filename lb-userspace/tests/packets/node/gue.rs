//! What comes in UDP: from a director with GUE's base header, from a node with
//! private data. All else that is called GUE is somebody else's.

use lb_common::Verdict::{
    Deliver, DropNoSuchPort, DropOtherProtocol, DropTruncated, DropTunnelPort, Pass, PassForeignTunnel,
};

use super::{NODES, kinds_in_tunnels};
use crate::{
    case::{Case, arrives, check_all},
    expect::{at_endpoint, gue_packet, ip_in_ip_packet, source_port},
    machine::{AS_DIRECTOR, AS_NODE},
    packet::{ETH_LEN, Gue, Ip, Payload, Transport, frame},
    services::{LOCAL, NO_SERVICE},
    world::{ARRIVING, CLIENT, DIRECTOR, Family, Host, Kind, NODE, OTHER_NODE, Request, STRANGER, VIP, pod},
};

/// As a node sends it whose search is over.
const OVER: [u8; 16] = [b'T', 0xff, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

pub fn cases() -> Vec<Case> {
    kinds_in_tunnels().flat_map(|(kind, outer)| cases_of_kind(GueCases { kind, outer })).collect()
}

fn cases_of_kind(gate: GueCases) -> Vec<Case> {
    [gate.delivered_tunnels(), gate.foreign_headers(), gate.foreign_addresses(), gate.unfit_contents()]
        .into_iter()
        .flatten()
        .collect()
}

/// A kind of packet within UDP over this family.
#[derive(Clone, Copy)]
struct GueCases {
    kind: Kind,
    outer: Family,
}

impl GueCases {
    fn name(self, what: &str) -> String {
        format!("{} in GUE over {:?}: {what}", self.kind, self.outer)
    }

    fn request(self) -> Request {
        self.kind.request(LOCAL)
    }

    /// As a director sends it.
    fn gue_from_director(self) -> Gue {
        let request = self.request();
        Gue::new(source_port(&request), &[], &request.ip)
    }

    /// As a node sends it.
    fn gue_from_node(self) -> Gue {
        Gue { private: OVER.to_vec(), ..self.gue_from_director() }
    }

    fn frame_between(self, from: Host, to: Host, gue: &Gue) -> Vec<u8> {
        frame(ARRIVING, &gue_packet(gue, self.outer, from, to, 0))
    }

    fn frame_from_director(self, gue: &Gue) -> Vec<u8> {
        self.frame_between(DIRECTOR, NODE, gue)
    }

    fn delivered_tunnels(self) -> Vec<Case> {
        let (request, plain, handed) = (self.request(), self.gue_from_director(), self.gue_from_node());
        let output = at_endpoint(&request, pod(1)).frame();
        let marked =
            |ecn: u8| Request { ip: Ip { tos: 0xb8 | ecn, ..request.ip.clone() }, ..request.clone() };
        let congested = Ip {
            tos: 3,
            ..gue_packet(&Gue { inner: marked(2).ip, ..plain.clone() }, self.outer, DIRECTOR, NODE, 0)
        };
        let mut cases = Vec::new();
        for setup in NODES {
            let inputs = [
                ("base header", self.frame_from_director(&plain)),
                ("from another node", self.frame_between(OTHER_NODE, NODE, &plain)),
                ("private data", self.frame_between(OTHER_NODE, NODE, &handed)),
                ("any source port", self.frame_from_director(&Gue { src_port: 1, ..plain.clone() })),
                ("source port 6080", self.frame_from_director(&Gue { src_port: 6080, ..plain.clone() })),
            ];
            cases.extend(inputs.map(|(what, input)| {
                let given = arrives(self.name(&format!("{what} on {setup}")), setup, input);
                given.becomes(Deliver, output.clone()).for_service(&request)
            }));
        }
        let padded = [self.frame_from_director(&handed), vec![0xee; 18]].concat();
        let with_padding = [output.clone(), vec![0xee; 18]].concat();
        cases.extend([
            arrives(self.name("padding"), AS_NODE, padded)
                .becomes(Deliver, with_padding)
                .for_service(&request),
            arrives(self.name("congestion"), AS_NODE, frame(ARRIVING, &congested))
                .becomes(Deliver, at_endpoint(&marked(3), pod(1)).frame())
                .for_service(&request),
        ]);
        cases
    }

    /// Headers that neither directors nor nodes write.
    fn foreign_headers(self) -> Vec<Case> {
        let (plain, handed) = (self.gue_from_director(), self.gue_from_node());
        let mut headers = vec![
            ("variant 1".into(), Gue { variant: 0x40, ..plain.clone() }),
            ("variant 2".into(), Gue { variant: 0x80, ..plain.clone() }),
            ("a control message".into(), Gue { variant: 0x20, ..plain.clone() }),
            ("a control message with private data".into(), Gue { variant: 0x20, ..handed.clone() }),
        ];
        headers.extend((0..16).map(|bit| (format!("flag {bit}"), Gue { flags: 1 << bit, ..plain.clone() })));
        headers.extend([4, 8, 12, 20, 124].map(|len| {
            let private = OVER.iter().copied().cycle().take(len).collect();
            (format!("{len} bytes of private data"), Gue { private, ..plain.clone() })
        }));
        headers.extend([0, b't', b'T' ^ 0x80, 0xff].map(|magic| {
            let private = [&[magic], &OVER[1..]].concat();
            (format!("private data of {magic:#04x}"), Gue { private, ..plain.clone() })
        }));
        headers.extend(
            [0, 1, 6, 17, 47, 58, 59, 255]
                .map(|protocol| (format!("protocol {protocol}"), Gue { protocol, ..plain.clone() })),
        );
        let other = plain.protocol ^ 4 ^ 41;
        headers.push(("the other family's protocol".into(), Gue { protocol: other, ..plain.clone() }));
        let untouched = |(what, gue): (String, Gue)| {
            arrives(self.name(&what), AS_NODE, self.frame_from_director(&gue)).untouched(PassForeignTunnel)
        };
        headers.into_iter().map(untouched).collect()
    }

    /// Only from peers to this node.
    fn foreign_addresses(self) -> Vec<Case> {
        let mut cases = Vec::new();
        for (what, gue) in [("base header", self.gue_from_director()), ("private data", self.gue_from_node())]
        {
            let between = |from, to| self.frame_between(from, to, &gue);
            for setup in NODES {
                let given = |whom: &str, input| {
                    arrives(self.name(&format!("{what}, {whom} on {setup}")), setup, input)
                };
                cases.extend([
                    given("from a stranger", between(STRANGER, NODE)).untouched(PassForeignTunnel),
                    given("from a client", between(CLIENT, NODE)).untouched(PassForeignTunnel),
                    given("from this machine itself", between(NODE, NODE)).untouched(PassForeignTunnel),
                    given("to somebody else", between(DIRECTOR, OTHER_NODE)).untouched(PassForeignTunnel),
                    given("to a stranger", between(DIRECTOR, STRANGER)).untouched(PassForeignTunnel),
                    given("to a VIP", between(DIRECTOR, VIP)).dropped(DropNoSuchPort),
                ]);
            }
            cases.extend([
                arrives(self.name(&format!("{what} to a director")), AS_DIRECTOR, between(DIRECTOR, NODE))
                    .untouched(Pass),
                arrives(
                    self.name(&format!("{what} to a VIP at a director")),
                    AS_DIRECTOR,
                    between(DIRECTOR, VIP),
                )
                .dropped(DropNoSuchPort),
            ]);
        }
        cases.extend(
            [("TCP to port 6080", Transport::tcp(0x18), 6080), ("UDP to port 6081", Transport::udp(), 6081)]
                .map(|(what, transport, port)| {
                    let payload = Payload::Transport(transport.with_ports(50_000, port));
                    let ip = Ip::new(DIRECTOR.ip(self.outer), NODE.ip(self.outer), payload);
                    arrives(self.name(what), AS_NODE, frame(ARRIVING, &ip)).untouched(Pass)
                }),
        );
        cases
    }

    fn unfit_contents(self) -> Vec<Case> {
        let around = |inner: Ip| self.frame_from_director(&Gue { inner, ..self.gue_from_director() });
        let ip = self.request().ip;
        let other = Payload::Other { protocol: 47, bytes: vec![0; 40] };
        let nested = ip_in_ip_packet(&ip, CLIENT.ip(self.kind.family), VIP.ip(self.kind.family));
        let whole = self.frame_from_director(&self.gue_from_director());
        let mut cases = vec![
            arrives(self.name("to a Pod"), AS_NODE, around(self.request().with_destination(pod(1)).ip))
                .untouched(PassForeignTunnel),
            arrives(self.name("no such port"), AS_NODE, around(self.kind.request(NO_SERVICE).ip))
                .dropped(DropTunnelPort),
            arrives(self.name("GRE"), AS_NODE, around(Ip { payload: other, ..ip.clone() }))
                .dropped(DropOtherProtocol),
            arrives(self.name("a tunnel"), AS_NODE, around(nested)).dropped(DropOtherProtocol),
        ];
        // If the outer packet is cut, it passes.
        cases.extend((ETH_LEN..whole.len()).map(|len| {
            arrives(self.name(&format!("cut to {len} bytes")), AS_NODE, whole[..len].to_vec()).untouched(Pass)
        }));
        let payload = ip.bytes().len() - ip.header_len();
        cases.extend((1..=payload).map(|missing| self.cut_inside(missing)));
        cases
    }

    /// The outer packet is whole; the one inside is not what it says.
    fn cut_inside(self, missing: usize) -> Case {
        let whole = gue_packet(&self.gue_from_director(), self.outer, DIRECTOR, NODE, 0);
        let mut payload = whole.payload.clone();
        if let Payload::Other { bytes, .. } = &mut payload {
            bytes.truncate(bytes.len() - missing);
        }
        let input = frame(ARRIVING, &Ip { payload, ..whole });
        arrives(self.name(&format!("{missing} bytes are missing inside")), AS_NODE, input)
            .dropped(DropTruncated)
    }
}

#[test]
fn what_comes_in_udp_is_ours_or_passes_untouched() {
    check_all(&cases());
}
