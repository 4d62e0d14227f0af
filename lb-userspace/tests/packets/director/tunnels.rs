//! Delivery in a tunnel, an outer IP header or UDP: all four combinations of families.

use std::{collections::BTreeSet, fmt};

use lb_common::{
    Verdict,
    Verdict::{DropNoRoom, ForwardGue, ForwardIpip, RedirectGue, RedirectIpip, TellTooBig},
};

use super::DIRECTORS;
use crate::{
    case::{Case, arrives, check_all},
    expect::{in_gue, in_tunnel, source_port, too_big_frame},
    machine::{AS_DIRECTOR, WITHOUT_HEADROOM},
    packet::{ACK, FIN, Ip, RST, SYN},
    services::{GUE, GUE_ELSEWHERE, IPIP4, IPIP4_ELSEWHERE, IPIP6, IPIP6_ELSEWHERE, MTU, port_over},
    world::{FAMILIES, Family, KINDS, Kind, Request},
};

/// How packets of one kind are carried.
#[derive(Clone, Copy)]
struct Tunnel {
    kind: Kind,
    outer: Family,
    is_gue: bool,
}

impl Tunnel {
    fn all() -> impl Iterator<Item = Self> {
        let over = |kind| FAMILIES.into_iter().map(move |outer| (kind, outer));
        let ways = KINDS.into_iter().flat_map(over);
        ways.flat_map(|(kind, outer)| [false, true].map(|is_gue| Self { kind, outer, is_gue }))
    }

    /// Service ports whose backend is behind the interface of arrival, and behind another one.
    fn ports(self) -> [u16; 2] {
        match (self.is_gue, self.outer) {
            (true, outer) => [port_over(outer, GUE), port_over(outer, GUE_ELSEWHERE)],
            (false, Family::V4) => [IPIP4, IPIP4_ELSEWHERE],
            (false, Family::V6) => [IPIP6, IPIP6_ELSEWHERE],
        }
    }

    fn verdicts(self) -> [Verdict; 2] {
        if self.is_gue { [ForwardGue, RedirectGue] } else { [ForwardIpip, RedirectIpip] }
    }

    /// Bytes in front of the client's packet.
    fn overhead(self) -> usize {
        let outer = Kind { family: self.outer, ..self.kind }.header_len();
        if self.is_gue { outer + 8 + 4 } else { outer }
    }

    fn frame(self, request: &Request) -> Vec<u8> {
        if self.is_gue { in_gue(self.outer, request) } else { in_tunnel(self.outer, request) }
    }

    fn request(self) -> Request {
        self.kind.request(self.ports()[0])
    }

    fn name(self, what: &str) -> String {
        format!("{self}: {what}")
    }

    fn cases(self) -> Vec<Case> {
        let with = |change: fn(Ip) -> Ip| Request { ip: change(self.request().ip), ..self.request() };
        let fits = MTU - self.overhead();
        let mut cases = self.interfaces();
        cases.extend([
            self.forwarded("ECT(0) is copied", with(|ip| Ip { tos: 0x02, ..ip })),
            self.forwarded("congestion experienced is copied", with(|ip| Ip { tos: 0xff, ..ip })),
            self.forwarded("no traffic class at all", with(|ip| Ip { tos: 0, ..ip })),
            self.forwarded("a tunnel is no hop of the packet", with(|ip| Ip { ttl: 1, ..ip })),
            self.forwarded("the inner packet may be fragmented", with(|ip| Ip { fragment: 0, ..ip })),
            self.forwarded("just the MTU", self.request().with_len(fits)),
            self.too_big("one byte too long", self.request().with_len(fits + 1)),
            self.too_big("so long that it would fit no frame", self.request().with_len(3000)),
            self.padded("a padded frame", self.request()),
            self.no_room("no headroom", self.request()),
        ]);
        cases.extend((40_002..40_010).map(|port| {
            let what = format!("another flow, another port or label: {port}");
            self.forwarded(&what, self.request().with_client_port(port))
        }));
        cases.extend(self.transports());
        cases
    }

    fn interfaces(self) -> Vec<Case> {
        let ways = || self.ports().into_iter().zip(self.verdicts());
        let case = |setup, (port, verdict)| {
            let request = self.kind.request(port);
            let given = arrives(self.name(&format!("{verdict:?} on {setup}")), setup, request.frame());
            given.becomes(verdict, self.frame(&request)).for_its_backend(&request)
        };
        DIRECTORS.into_iter().flat_map(|setup| ways().map(move |way| case(setup, way))).collect()
    }

    fn transports(self) -> Vec<Case> {
        if self.kind.is_tcp {
            let case = |flags| {
                let request = self.request().with_tcp_flags(flags);
                self.forwarded(&format!("flags {flags:#04x}"), request)
            };
            [ACK, ACK | SYN, ACK | FIN, RST].map(case).into()
        } else if self.kind.family == Family::V4 {
            vec![self.forwarded("no checksum", self.request().without_checksum())]
        } else {
            Vec::new()
        }
    }

    fn forwarded(self, what: &str, request: Request) -> Case {
        let given = arrives(self.name(what), AS_DIRECTOR, request.frame());
        given.becomes(self.verdicts()[0], self.frame(&request)).for_its_backend(&request)
    }

    /// Told to the client, with what fits if it has to be handed on.
    fn too_big(self, what: &str, request: Request) -> Case {
        let fits = MTU - Kind { family: self.outer, ..self.kind }.header_len() - 8 - 20;
        let given = arrives(self.name(what), AS_DIRECTOR, request.frame());
        given.becomes(TellTooBig, too_big_frame(&request, fits)).for_its_backend(&request)
    }

    fn no_room(self, what: &str, request: Request) -> Case {
        let given = arrives(self.name(what), WITHOUT_HEADROOM, request.frame());
        given.dropped(DropNoRoom).for_its_backend(&request)
    }

    /// No length counts the padding, which stays behind the packet.
    fn padded(self, what: &str, request: Request) -> Case {
        let pad = |frame: Vec<u8>| [frame, vec![0xee; 18]].concat();
        let given = arrives(self.name(what), AS_DIRECTOR, pad(request.frame()));
        given.becomes(self.verdicts()[0], pad(self.frame(&request))).for_its_backend(&request)
    }
}

impl fmt::Display for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.is_gue { "in GUE over" } else { "in an outer header of" };
        write!(f, "{} {way} {:?}", self.kind, self.outer)
    }
}

pub fn cases() -> Vec<Case> {
    Tunnel::all().flat_map(Tunnel::cases).collect()
}

#[test]
fn packets_leave_for_a_backend_in_a_tunnel() {
    check_all(&cases());
}

/// What the tables expect of source ports is of some variety.
#[test]
fn flows_have_source_ports_of_their_own() {
    let ports = |kind: Kind| (40_000..41_000).map(move |port| kind.request(GUE).with_client_port(port));
    for kind in KINDS {
        let seen: BTreeSet<_> = ports(kind).map(|request| source_port(&request)).collect();
        assert!(seen.len() > 900 && seen.iter().all(|port| *port >= 49_152), "{kind}: {}", seen.len());
    }
}
