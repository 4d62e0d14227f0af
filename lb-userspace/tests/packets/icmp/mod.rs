//! ICMP to a VIP, and what clients are told by it.

mod echo;
mod errors;
mod leaving;
mod others;
mod too_big;

use crate::{
    case::Case,
    packet::{Icmp, Ip, Payload},
    world::{CLIENT, Family, VIP},
};

pub fn cases() -> Vec<Case> {
    [echo::cases(), errors::cases(), leaving::cases(), others::cases(), too_big::cases()]
        .into_iter()
        .flatten()
        .collect()
}

/// From the client to the VIP.
fn icmp_to_vip(family: Family, icmp: Icmp) -> Ip {
    let ip = Ip::new(CLIENT.ip(family), VIP.ip(family), Payload::Icmp(icmp));
    Ip { tos: 0xb8, id: 0x1c46, label: 0x3_1415, ttl: 57, ..ip }
}

/// The number of ICMP for this family.
fn icmp_protocol(family: Family) -> u8 {
    match family {
        Family::V4 => 1,
        Family::V6 => 58,
    }
}
