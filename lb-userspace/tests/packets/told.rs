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
    packet::ETH_LEN,
};

/// What is to be told of a frame: addresses and protocol of its first IP
/// header, and the ports if they follow it directly.
fn expected(frame: &[u8], verdict: Verdict) -> Dropped {
    let ip = &frame[ETH_LEN..];
    let (client, to, protocol, l4) = match ip[0] {
        0x60..=0x6f => (v6(&ip[8..24]), v6(&ip[24..40]), ip[6], Some(40)),
        // The flag "more fragments", or an offset.
        0x45 if ip[6] & 0x3f == 0 && ip[7] == 0 => (v4(&ip[12..16]), v4(&ip[16..20]), ip[9], Some(20)),
        _ => (v4(&ip[12..16]), v4(&ip[16..20]), ip[9], None),
    };
    let ports = l4.filter(|_| [6, 17].contains(&protocol)).and_then(|at| ip.get(at..at + 8));
    let port = |at| ports.map_or(0, |ports| u16::from_ne_bytes([ports[at], ports[at + 1]]));
    let to = ServiceKey { addr: to, port: port(2), protocol, pad: 0 };
    Dropped { to, client, client_port: port(0), verdict: verdict as u16 }
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
