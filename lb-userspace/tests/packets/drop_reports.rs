//! Machines with `LOG_DROPS`: verdicts are the same as without, and every dropped
//! packet is reported.

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

/// The report that is expected for a frame: addresses, protocol, and the ports if
/// the frame has them.
fn expected_report(frame: &[u8], verdict: Verdict) -> Dropped {
    let frame = untagged(frame);
    let ip = &frame[ETH_LEN..];
    let (client, to, (protocol, l4)) = match ip[0] >> 4 {
        6 => (v6(&ip[8..24]), v6(&ip[24..40]), v6_transport(ip)),
        _ => (v4(&ip[12..16]), v4(&ip[16..20]), v4_transport(ip)),
    };
    let ports = l4.filter(|_| [6, 17].contains(&protocol)).and_then(|at| ip.get(at..at + 8));
    let port = |at| ports.map_or(0, |ports| u16::from_ne_bytes([ports[at], ports[at + 1]]));
    let to = ServiceKey { addr: to, port: port(2), protocol, pad: 0 };
    Dropped { to, client, client_port: port(0), verdict: verdict as u16 }
}

/// The protocol, and where its header is if it is in this packet.
fn v4_transport(ip: &[u8]) -> (u8, Option<usize>) {
    let (len, offset, more) =
        (usize::from(ip[0] & 15) * 4, u16::from_be_bytes([ip[6] & 0x1f, ip[7]]), ip[6] & 0x20);
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    (
        ip[9],
        (len >= 20 && has_transport_header(offset, more != 0, ip[9], total.saturating_sub(len)))
            .then_some(len),
    )
}

fn v6_transport(ip: &[u8]) -> (u8, Option<usize>) {
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
    (kind, has_transport_header(0, place & 1 != 0, kind, total.saturating_sub(at)).then_some(at))
}

/// A first fragment without a whole header is not looked into.
fn has_transport_header(offset: u16, more: bool, protocol: u8, len: usize) -> bool {
    offset == 0 && (!more || len >= if protocol == 6 { 20 } else { 8 })
}

fn v4(bytes: &[u8]) -> Addr {
    Addr::v4(u32::from_ne_bytes(bytes.try_into().unwrap()))
}

fn v6(bytes: &[u8]) -> Addr {
    Addr { bytes: bytes.try_into().unwrap() }
}

fn check_drop_reports(setup: Setup) {
    let mut machine = Machine::new(Setup { condition: Condition::ReportsDrops, ..setup });
    for case in coverage::all_cases() {
        if case.setup != setup || case.hook != Hook::Xdp {
            continue;
        }
        // Otherwise another service's flow may already use the client's port.
        machine.forget_flows();
        case.assert_on(&machine);
        let is_dropped = case.verdict.fate() == Fate::Drop;
        let expected: Vec<_> =
            is_dropped.then(|| expected_report(&case.input, case.verdict)).into_iter().collect();
        assert_eq!(machine.take_drop_reports(), expected, "{}", case.name);
    }
}

#[test]
fn an_agent_is_told_of_what_is_dropped() {
    [AS_DIRECTOR, AS_NODE, AS_BOTH].into_iter().for_each(check_drop_reports);
}
