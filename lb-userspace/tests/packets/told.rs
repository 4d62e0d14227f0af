//! Machines whose agent wants to know of every packet that is dropped: they do
//! what others do, and tell.

use lb_common::{
    Addr, Verdict,
    maps::{Dropped, ServiceKey},
    verdict::Fate,
};

use crate::{
    coverage,
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE, Condition, Hook, Machine, Setup},
    packet::{ETH_LEN, untagged},
};

/// What is to be told of a frame: addresses, protocol, and the ports if they
/// are there.
fn expected(frame: &[u8], verdict: Verdict) -> Dropped {
    let frame = untagged(frame);
    let ip = &frame[ETH_LEN..];
    let (client, to, (protocol, l4)) = match ip[0] >> 4 {
        6 => (v6(&ip[8..24]), v6(&ip[24..40]), behind_v6(ip)),
        _ => (v4(&ip[12..16]), v4(&ip[16..20]), behind_v4(ip)),
    };
    let ports = l4.filter(|_| [6, 17].contains(&protocol)).and_then(|at| ip.get(at..at + 8));
    let port = |at| ports.map_or(0, |ports| u16::from_ne_bytes([ports[at], ports[at + 1]]));
    let to = ServiceKey { addr: to, port: port(2), protocol, pad: 0 };
    Dropped { to, client, client_port: port(0), verdict: verdict as u16 }
}

/// The protocol, and where its header is if it is in this packet.
fn behind_v4(ip: &[u8]) -> (u8, Option<usize>) {
    let (len, offset, more) =
        (usize::from(ip[0] & 15) * 4, u16::from_be_bytes([ip[6] & 0x1f, ip[7]]), ip[6] & 0x20);
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    (ip[9], (len >= 20 && has_header(offset, more != 0, ip[9], total.saturating_sub(len))).then_some(len))
}

fn behind_v6(ip: &[u8]) -> (u8, Option<usize>) {
    let total = usize::from(u16::from_be_bytes([ip[4], ip[5]])) + 40;
    let (mut kind, mut at, mut place) = (ip[6], 40, 0);
    for _ in 0..4 {
        let header = ip.get(at..at + 8);
        let Some(header) = header.filter(|_| [0, 43, 44, 60].contains(&kind)) else { break };
        match kind {
            43 if header[3] != 0 => return (kind, None),
            44 => place = u16::from_be_bytes([header[2], header[3]]),
            _ => at += usize::from(header[1]) * 8,
        }
        (kind, at) = (header[0], at + 8);
        if at > 40 + 256 || place >> 3 != 0 {
            return (kind, None);
        }
    }
    (kind, has_header(0, place & 1 != 0, kind, total.saturating_sub(at)).then_some(at))
}

/// A first fragment without a whole header is not looked into.
fn has_header(offset: u16, more: bool, protocol: u8, len: usize) -> bool {
    offset == 0 && (!more || len >= if protocol == 6 { 20 } else { 8 })
}

fn v4(bytes: &[u8]) -> Addr {
    Addr::v4(u32::from_ne_bytes(bytes.try_into().unwrap()))
}

fn v6(bytes: &[u8]) -> Addr {
    Addr { bytes: bytes.try_into().unwrap() }
}

fn tells_of_what_it_drops(setup: Setup) {
    let mut machine = Machine::new(Setup { condition: Condition::TellsDrops, ..setup });
    for case in coverage::all() {
        if case.setup != setup || case.hook != Hook::Xdp {
            continue;
        }
        // Or the client's port might be taken, by another service's flow.
        machine.forget_flows();
        case.happens_on(&machine);
        let is_dropped = case.verdict.fate() == Fate::Drop;
        let expected: Vec<_> = is_dropped.then(|| expected(&case.input, case.verdict)).into_iter().collect();
        assert_eq!(machine.told(), expected, "{}", case.name);
    }
}

#[test]
fn an_agent_is_told_of_what_is_dropped() {
    [AS_DIRECTOR, AS_NODE, AS_BOTH].into_iter().for_each(tells_of_what_it_drops);
}
