//! Whose packet is it? (RFC 5880, section 6.3; RFC 5881, section 3.)

use std::net::IpAddr;

use super::{Key, Profile, wire::Packet};

/// TTL or hop limit of what is sent, and of what has crossed no router (RFC 5082).
pub const MAX_TTL: u8 = 255;

/// How a packet came in.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub from: IpAddr,
    pub to: IpAddr,
    /// None: it is gone already.
    pub interface: Option<&'a str>,
    pub ttl: u8,
    pub is_multihop: bool,
}

/// A session, as far as packets tell sessions apart.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    pub key: &'a Key,
    pub profile: &'a Profile,
    pub discriminator: u32,
}

/// The session that the packet is for, if it may be for any.
pub fn select<'a>(
    candidates: impl Iterator<Item = Candidate<'a>>,
    packet: &Packet,
    arrival: &Arrival<'_>,
) -> Option<&'a Key> {
    candidates
        .filter(|candidate| is_near_enough(candidate, arrival))
        .filter(|candidate| match packet.yours {
            0 => matches(candidate.key, arrival),
            yours => {
                candidate.discriminator == yours && candidate.key.remote.is_ipv4() == arrival.to.is_ipv4()
            }
        })
        .map(|candidate| candidate.key)
        .max_by_key(|key| (key.local.is_some(), key.interface.is_some()))
}

/// Section 5 of RFC 5881, section 5 of RFC 5883.
fn is_near_enough(candidate: &Candidate<'_>, arrival: &Arrival<'_>) -> bool {
    let least = if arrival.is_multihop { candidate.profile.minimum_ttl } else { MAX_TTL };
    candidate.key.multihop == arrival.is_multihop && arrival.ttl >= least
}

fn matches(key: &Key, arrival: &Arrival<'_>) -> bool {
    key.remote == arrival.from
        && key.local.is_none_or(|local| local == arrival.to)
        && key.interface.as_deref().is_none_or(|interface| Some(interface) == arrival.interface)
}

#[cfg(test)]
mod tests;
