//! Words for the numbers in maps, as reports and log lines show them.

use std::net::{IpAddr, SocketAddr};

use lb_common::{
    maps::{Backend, ServiceKey, backend_flags, delivery},
    roles,
    verdict::Fate,
};

use crate::neigh::Reach;

/// How packets get to a backend.
pub fn delivery(backend: &Backend) -> &'static str {
    if backend.flags & backend_flags::LOCAL != 0 {
        return "local";
    }
    let is_l2 = backend.delivery == delivery::L2 || backend.flags & backend_flags::FORCED_L2 != 0;
    match backend.delivery {
        _ if is_l2 => "l2",
        delivery::GUE4 | delivery::GUE6 => "gue",
        _ => "ipip",
    }
}

/// A service's protocol: `tcp` for IANA number 6, else `udp`.
pub fn protocol(number: u8) -> &'static str {
    if number == 6 { "tcp" } else { "udp" }
}

/// A service, by what clients connect to.
pub fn frontend(key: &ServiceKey) -> String {
    let to = SocketAddr::new(IpAddr::from(key.addr), u16::from_be(key.port));
    format!("{} {to}", protocol(key.protocol))
}

/// Bits of [`lb_common::roles`].
pub fn roles(bits: u32) -> Vec<String> {
    let names = [(roles::DIRECTOR, "director"), (roles::NODE, "node")];
    names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| (*name).to_owned()).collect()
}

/// What becomes of a packet.
pub fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Pass => "pass",
        Fate::Transmit => "transmit",
        Fate::Redirect => "redirect",
        Fate::Drop => "drop",
    }
}

/// How a machine is reached, or why it is not.
pub fn next_hop(reach: Option<&Reach>) -> String {
    match reach {
        None => "not looked up yet".into(),
        Some(Reach::Local) => "this machine".into(),
        Some(Reach::Unreachable(reason)) => format!("unreachable: {reason}"),
        Some(Reach::Via(hop)) => {
            let via = hop.gateway.map_or("on link".into(), |gateway| format!("via {gateway}"));
            let mac =
                hop.dst_mac.map_or("no answer".into(), |mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
            let tags: Vec<_> = hop.tags.iter().map(ToString::to_string).collect();
            let vlan = if tags.is_empty() { String::new() } else { format!(" ({})", tags.join(", ")) };
            let silent = if hop.is_silent { " (does not answer)" } else { "" };
            format!("{via} dev {}{vlan} {mac}{silent}", hop.interface)
        }
    }
}
